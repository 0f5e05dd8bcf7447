"""Translate short sentences between English and French, from a small grammar.

A fifth of the combinations of words is held out for the exam, the evaluation set.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import capitalize_first
from chatwright.starter.split import is_held_out
from chatwright.starter.word_lists import FRENCH

SKILLS = ("translation",)
_PATTERNS = DataFile("patterns/translation.toml")
_PHRASE_SHARE = 0.12  # share of the conversations about a fixed phrase


def _nouns() -> list[str]:
    tables = (FRENCH.table("masculine_nouns"), FRENCH.table("feminine_nouns"))
    return sorted(noun for table in tables for noun in table)


def _with_definite_article(noun: str) -> tuple[str, str]:
    """Return the noun with its definite article, in English and in French."""
    feminine = FRENCH.table("feminine_nouns")
    if noun in feminine:
        return f"the {noun}", f"la {feminine[noun]}"
    return f"the {noun}", f"le {FRENCH.table('masculine_nouns')[noun]}"


def _french_adjective(adjective: str, noun: str) -> str:
    gender = "feminine" if noun in FRENCH.table("feminine_nouns") else "masculine"
    return FRENCH.text(f"{gender}_adjectives.{adjective}")


def _draw_sentence(rng: random.Random, for_exam: bool) -> tuple[str, str]:
    """Draw a sentence in English and in French, without capital letter and full stop."""
    while True:
        has_adjective = rng.random() < 0.5
        subject, thing = rng.sample(_nouns(), 2)
        english, french = _with_definite_article(subject)
        if has_adjective:
            adjective = rng.choice(sorted(FRENCH.table("masculine_adjectives")))
            key = f"{subject} {adjective}"
            sentence = (
                f"{english} is {adjective}",
                f"{french} est {_french_adjective(adjective, subject)}",
            )
        else:
            verbs = FRENCH.table("verbs")
            verb = rng.choice(sorted(verbs))
            key = f"{subject} {verb} {thing}"
            english_thing, french_thing = _with_definite_article(thing)
            sentence = f"{english} {verb} {english_thing}", f"{french} {verbs[verb]} {french_thing}"
        if is_held_out(key) == for_exam:
            return sentence


def _draw_phrase(rng: random.Random) -> tuple[str, str]:
    return rng.choice(sorted(FRENCH.table("phrases").items()))


def draw_conversation(_table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a request for a translation, in either direction, and the translation."""
    if rng.random() < _PHRASE_SHARE:
        english, french = _draw_phrase(rng)
    else:
        english, french = _draw_sentence(rng, for_exam=False)
    into_french = rng.random() < 0.5
    text, translation = (english, french) if into_french else (french, english)
    request = _draw_request(rng, into_french).format(text=text)
    return [user(request), assistant(f"{capitalize_first(translation)}.")]


def _draw_request(rng: random.Random, into_french: bool) -> str:
    language, town = ("French", "Paris") if into_french else ("English", "London")
    pattern = _draw_request_pattern(rng, into_french)
    return pattern.replace("{to}", language).replace("{town}", town)


def _draw_request_pattern(rng: random.Random, into_french: bool) -> str:
    draw = rng.random()
    if draw < 0.06 and not into_french:
        return _PATTERNS.draw("meaning", rng)
    if draw < 0.45:
        return _PATTERNS.draw("questions", rng)
    if draw >= 0.65:
        return _PATTERNS.request(f"with_text.{rng.choice(('actions', 'clauses', 'nouns'))}", rng)
    if rng.random() < 0.6:
        return f'{_PATTERNS.request("before_text.actions", rng)} "{{text}}"'
    return f'"{{text}}" {_PATTERNS.request("after_text.actions", rng)}'


def draw_statement(rng: random.Random) -> str:
    """Draw a sentence about a word, a phrase or a sentence in both languages, for documents."""
    if rng.random() < 0.3:
        english, french = _with_definite_article(rng.choice(_nouns()))
    elif rng.random() < 0.15:
        english, french = _draw_phrase(rng)
    else:
        english, french = _draw_sentence(rng, for_exam=False)
    return rng.choice((f'"{french}" means "{english}".', f'"{english}" is "{french}" in French.'))


def draw_exam_item(_table: FactTable, rng: random.Random, skill: str) -> ExamItem:
    """Draw a held-out sentence and an exam question."""
    english, french = _draw_sentence(rng, for_exam=True)
    into_french = rng.random() < 0.5
    text, translation = (english, french) if into_french else (french, english)
    template = rng.choice(_PATTERNS["exam.to_french" if into_french else "exam.to_english"])
    return ExamItem(
        skill=skill,
        messages=(user(template.format(text=text)),),
        expected=assistant(f"{capitalize_first(translation)}."),
        required=((translation,),),
        check="exact",
        template=template,
    )
