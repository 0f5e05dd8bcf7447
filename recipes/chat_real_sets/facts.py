"""Facts as sentences and as questions: country profiles, trivia, glossaries."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import (
    BROKEN,
    OFFENSIVE,
    Dropped,
    Turn,
    clean,
    dialogue,
    evenly,
    finish,
    n_word,
)
from chat_real_sets.prose import tar_texts

# What changes every year (leaders, GDP, exchange rates) is left out: a model should not answer it from memory.
COUNTRY_FIELDS = (
    ("Geography", "Area - comparative", "In area, {country} is {value}"),
    ("Geography", "Climate", "The climate of {country}: {value}"),
    ("Geography", "Terrain", "The terrain of {country}: {value}"),
    ("Geography", "Natural resources", "The natural resources of {country} include {value}"),
    ("Geography", "Natural hazards", "Natural hazards in {country}: {value}"),
    ("Geography", "Population distribution", "Where people live in {country}: {value}"),
    ("Geography", "Geography - note", "A note on the geography of {country}: {value}"),
    ("People and Society", "Ethnic groups", "Ethnic groups in {country}: {value}"),
    ("People and Society", "Religions", "Religions in {country}: {value}"),
    ("Environment", "Environmental issues", "Environmental issues in {country}: {value}"),
    ("Government", "Government type", "The government of {country} is a {value}"),
    ("Government", "Legal system", "The legal system of {country}: {value}"),
    ("Government", "Independence", "Independence of {country}: {value}"),
    ("Government", "National holiday", "The national holiday of {country}: {value}"),
    ("Government", "Flag", "The flag of {country}: {value}"),
    ("Government", "National symbol(s)", "National symbols of {country}: {value}"),
    ("Economy", "Economic overview", "The economy of {country}: {value}"),
    ("Economy", "Agricultural products", "Farms in {country} produce {value}"),
    ("Economy", "Industries", "Industries in {country} include {value}"),
    ("Economy", "Exports - commodities", "{country} exports {value}"),
    ("Economy", "Imports - commodities", "{country} imports {value}"),
)
NEEDS_CHOICES = re.compile(
    r"\b(which of|one of (?:the|this)|following|NOT|not|except|EXCEPT|these|spot|true|false|listed|below)\b"
)
MOST_TRIVIA_CHATS = 6_000


def profiles(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, text in tar_texts(data / "factbook" / "factbook.tar.xz"):
        profile = json.loads(text)
        names = profile.get("Government", {}).get("Country name", {})
        country = plain(names.get("conventional short form", {}).get("text", "none"))
        if country.lower() in ("none", ""):
            country = plain(names.get("conventional long form", {}).get("text", ""))
        if country and not name.endswith(
            ("xx.json", "ee.json")
        ):  # the world and the European Union are no countries
            yield re.split(r"[;(/]", country)[0].strip(), profile


def plain(value: str) -> str:
    """The text of a field without markup, notes in brackets with a year, and everything after the first line break."""
    value = clean(value).split("\n")[0]
    value = re.sub(r"^(?:metropolitan \w+|description|note): ?", "", value)
    value = re.sub(r" ?\((?:\d{4}|\d{4} est\.|\d{4}-\d{2,4} est\.)\)", "", value)
    return value.strip(" ;,")


def field(profile: dict[str, Any], section: str, name: str, *inner: str) -> str:
    value = profile.get(section, {}).get(name, {})
    for key in inner:
        value = value.get(key, {}) if isinstance(value, dict) else {}
    return (
        plain(value["text"])
        if isinstance(value, dict) and isinstance(value.get("text"), str)
        else ""
    )


def basics(country: str, profile: dict[str, Any]) -> list[tuple[str, str]]:
    """(question, answer) pairs a template can get right."""
    pairs = []
    capital = re.split(r"[;(]", field(profile, "Government", "Capital", "name"))[0].strip()
    if capital and capital.lower() != "none":
        pairs += [(f"What is the capital of {country}?", f"The capital of {country} is {capital}.")]
        pairs += [
            (
                f"{capital} is the capital of which country?",
                f"{capital} is the capital of {country}.",
            )
        ]
    if location := field(profile, "Geography", "Location").split(", consists")[0]:
        pairs += [(f"Where is {country}?", finish(f"{country} is in {location}"))]
    if area := re.split(r" ?[;(]", field(profile, "Geography", "Area", "total "))[0]:
        pairs += [
            (
                f"How large is {country}?",
                f"{country} has an area of {area.replace('sq km', 'square kilometres')}.",
            )
        ]
    if neighbours := field(profile, "Geography", "Land boundaries", "border countries"):
        listed = [
            re.sub(r" ?\(.*?\)| [\d,.]+ km.*", "", item).strip() for item in neighbours.split(";")
        ]
        pairs += [
            (f"Which countries border {country}?", f"{country} borders {enumeration(listed)}.")
        ]
    if languages := field(profile, "People and Society", "Languages", "Languages"):
        pairs += [
            (
                f"What languages are spoken in {country}?",
                finish(f"The languages of {country} are {languages}"),
            )
        ]
    if currency := field(profile, "Economy", "Exchange rates", "Currency"):
        pairs += [
            (
                f"What is the currency of {country}?",
                f"The currency of {country} is {currency.split(' per ')[0]}.",
            )
        ]
    if resources := field(profile, "Geography", "Natural resources"):
        pairs += [
            (f"What natural resources does {country} have?", finish(f"{country} has {resources}"))
        ]
    if climate := field(profile, "Geography", "Climate"):
        pairs += [(f"What is the climate like in {country}?", finish(climate))]
    if background := history(profile).split("\n")[0]:
        opening = " ".join(re.split(r"(?<=[a-z)]\.) (?=[A-Z])", background)[:3])
        pairs += [(f"Tell me something about {country}.", opening)]
    return pairs


def history(profile: dict[str, Any]) -> str:
    """The background, with surnames as other texts write them: Ernest SHACKLETON -> Ernest Shackleton."""
    text = clean(profile.get("Introduction", {}).get("Background", {}).get("text", ""))
    surnames = set(
        re.findall(
            r"\b[A-Z][a-z\u00df-\u00ff.]+ ([A-Z\u00c0-\u00de][A-Z\u00c0-\u00de'-]{2,})\b", text
        )
    )
    for surname in sorted(surnames, key=lambda surname: (-len(surname), surname)):
        text = re.sub(rf"\b{re.escape(surname)}\b", surname.title(), text)
    return text


def enumeration(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def factbook_prose(data: Path, dropped: Dropped) -> Iterator[str]:
    for country, profile in profiles(data):
        sentences = [history(profile)]
        said_below = ("What natural", "What is the climate", "Tell")
        sentences += [
            answer
            for question, answer in basics(country, profile)
            if not question.startswith(said_below)
        ]
        for section, name, template in COUNTRY_FIELDS:
            value = field(profile, section, name)
            if value and value.lower() not in ("none", "na", "n/a"):
                sentence = finish(template.format(country=country, value=value))
                sentences.append(
                    sentence.replace("is a a", "is a").replace(" is a absolute", " is an absolute")
                )
        text = "\n".join(dict.fromkeys(sentence for sentence in sentences if sentence))
        if n_word(text) < 60:
            dropped["under 60 words"] += 1
        else:
            yield f"{country}\n\n{text}"


def factbook_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for country, profile in profiles(data):
        for question, answer in basics(country, profile):
            yield dialogue(question, answer)


def trivia(data: Path, dropped: Dropped) -> Iterator[tuple[str, str, list[str]]]:
    """(question, right answer, choices), each question once."""
    seen = set()
    for _, text in tar_texts(data / "open-trivia-qa" / "categories.tar.xz"):
        for block in re.split(r"^#Q ", text, flags=re.MULTILINE)[1:]:
            head, found, rest = block.partition("\n^")
            answer, _, options = rest.partition("\n")
            question, answer = clean(head).replace("\n", " "), clean(answer)
            choices = [
                clean(option[2:]) for option in options.splitlines() if re.match(r"[A-D] ", option)
            ]
            if not found or not answer or answer not in choices:
                dropped["no right answer given"] += 1
            elif BROKEN.search(block) or re.search(r"\b\w+\?\w+\b", question):
                dropped["broken characters"] += 1
            elif OFFENSIVE.search(block):
                dropped["offensive word"] += 1
            elif question.lower() in seen:
                dropped["duplicate question"] += 1
            else:
                seen.add(question.lower())
                yield question, answer, choices


def trivia_prose(data: Path, dropped: Dropped) -> Iterator[str]:
    """Twenty-five questions with their answers to a document."""
    lines: list[str] = []
    for question, answer, choices in trivia(data, dropped):
        if NEEDS_CHOICES.search(question):
            lines.append(
                f"Question: {question} {', '.join(choices[:-1])} or {choices[-1]}?\nAnswer: {finish(answer)}"
            )
        else:
            lines.append(f"Question: {question}\nAnswer: {finish(answer)}")
        if len(lines) == 25:
            yield "\n\n".join(lines)
            lines = []
    if lines:
        yield "\n\n".join(lines)


def trivia_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Questions spread over all categories; some with the choices named, always where the question needs them."""
    kept = [row for row in trivia(data, dropped) if n_word(row[0]) >= 4]
    for i, (question, answer, choices) in enumerate(evenly(kept, MOST_TRIVIA_CHATS)):
        if answer.lower() in ("true", "false", "yes", "no"):
            yield dialogue(
                question if question.endswith("?") else f"{question} {' or '.join(choices)}?",
                finish(answer),
            )
        elif NEEDS_CHOICES.search(question) or i % 4 == 0:
            yield dialogue(
                question + "\n" + "\n".join(f"- {choice}" for choice in choices), finish(answer)
            )
        else:
            yield dialogue(
                question, finish(answer) if i % 2 else f"The answer is {answer.rstrip('.')}."
            )


def glossary(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    for i, line in enumerate(
        (data / "openstax" / "glossary.jsonl").read_text(encoding="utf-8").splitlines()
    ):
        row = json.loads(line)
        term, meaning = clean(row["term"]), clean(row["meaning"])
        if "()" in meaning or not meaning or n_word(term) > 6:
            dropped["hole in the meaning, or a long term"] += 1
            continue
        question = (f"What is {term}?", f"What does '{term}' mean?", f"Define {term}.")[i % 3]
        yield dialogue(question, finish(f"{term}: {meaning}") if i % 2 else finish(meaning))
