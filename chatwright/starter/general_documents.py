"""Training documents that state no fact of the table: animals, sums, stories, reviews, French.

About half of them are texts about invented people, so that a model learns to read a name and use
it again.
"""

import random
from collections.abc import Callable, Iterator

from chatwright.starter.conversations import (
    arithmetic,
    corrections,
    false_premises,
    jokes,
    passages,
    sentiment,
    stopping,
    translation,
)
from chatwright.starter.data_file import DataFile
from chatwright.starter.fact_documents import Document
from chatwright.starter.fact_wording import answer_about_person
from chatwright.starter.invented_people import STORY_ATTRIBUTES, answer, invent_people, story
from chatwright.starter.phrasing import with_article

_PATTERNS = DataFile("patterns/general_documents.toml")
_ANIMALS = DataFile("words/animals.toml")
_VALUES = DataFile("words/values.toml")


def animals(rng: random.Random) -> str:
    """What one to three animals eat, where they live, and what they sound like."""
    sentences = []
    for name in rng.sample(sorted(_ANIMALS.names()), rng.choice((1, 2, 3))):
        facts = _ANIMALS.table(name)
        slots = facts | {
            "name": name,
            "Animal": with_article(name).capitalize(),
            "a_young": with_article(facts["young"]),
        }
        sound, *others = (pattern.format(**slots) for pattern in _PATTERNS["animals"])
        sentences += [sound, *rng.sample(others, rng.randint(1, 3))]
    return " ".join(sentences)


def calendar(rng: random.Random) -> str:
    """Which days or months follow each other."""
    kind = rng.choice(("day", "month"))
    names = _VALUES[f"{kind}s"]
    sentences = []
    for _ in range(rng.randint(2, 4)):
        i = rng.randrange(len(names))
        pattern = rng.choice(_PATTERNS["calendar"])
        after = names[(i + 1) % len(names)]
        sentences.append(pattern.format(before=names[i - 1], this=names[i], after=after, kind=kind))
    return " ".join(sentences)


def seasons(rng: random.Random) -> str:
    """When one season is and what happens in it."""
    name = rng.choice(sorted(_PATTERNS.names("seasons")))
    slots = _PATTERNS.table(f"seasons.{name}") | {"name": name, "Name": name.capitalize()}
    sentences = [pattern.format(**slots) for pattern in _PATTERNS["season_sentences"]]
    return " ".join(rng.sample(sentences, rng.randint(2, 4)))


def manners(rng: random.Random) -> str:
    """How a good assistant behaves."""
    return " ".join(rng.sample(_PATTERNS["manners"], rng.randint(2, 4)))


def nature(rng: random.Random) -> str:
    """Sentences about the weather, plants, animals and children."""
    return " ".join(rng.sample(_PATTERNS["nature"], rng.randint(2, 4)))


def sums(rng: random.Random) -> str:
    """Three to six sums and differences."""
    return " ".join(arithmetic.draw_statement(rng) for _ in range(rng.randint(3, 6)))


def disputes(rng: random.Random) -> str:
    """Two claims, the truth, and what follows from it.

    Replies to corrections and to false premises rest on this, and need many examples.
    """
    sentences: list[str] = []
    for _ in range(rng.randint(2, 3)):
        attribute = rng.choice(STORY_ATTRIBUTES)
        person, other = invent_people(rng, False, 2, [attribute])
        fact, wrong = person.facts[attribute], other.facts[attribute].value
        values = (fact.value, wrong)
        claims = [answer_about_person(attribute, person, value) for value in values]
        if rng.random() < 0.5:  # as in a conversation, where both claims came before
            sentences += rng.sample(claims, 2)
        if rng.random() < 0.6:
            user_is_right = rng.random() < 0.5
            sentences.append(corrections.verdict(fact, person, wrong, user_is_right))
        else:
            sentences.append(false_premises.reply_to_premise(fact, person, rng.choice(values)))
    return " ".join(sentences)


def counting(rng: random.Random) -> str:
    """Numbers in words, or a list that ends at the right place."""
    if rng.random() < 0.4:
        start = rng.randint(0, 90)
        numbers = range(start, start + rng.randint(4, 9))
        return " ".join(f"{number} is {arithmetic.in_words(number)}." for number in numbers)
    return stopping.draw_list_task(rng, for_exam=False).answer


def french(rng: random.Random) -> str:
    """Two to five translations."""
    return " ".join(translation.draw_statement(rng) for _ in range(rng.randint(2, 5)))


def reviews(rng: random.Random) -> str:
    """One or two reviews, each with its judgments and their labels."""
    sentences = []
    for _ in range(rng.randint(1, 2)):
        drawn = sentiment.draw_reviews(rng, for_exam=False)
        answers = (review.answer for review in rng.sample(drawn, len(drawn)))
        sentences += [drawn[0].text, *answers]
    return " ".join(sentences)


def stories(rng: random.Random) -> str:
    """A story and several answers read out of it."""
    events, text = passages.draw_passage(rng, for_exam=False)
    return f"{text} {passages.draw_answers(events, rng)}"


def reports(rng: random.Random) -> str:
    """A report and its summary."""
    event, text = passages.draw_report(rng, for_exam=False)
    return f"{text} In short: {event.summary}"


def people(rng: random.Random) -> str:
    """A story about invented people and some of its facts again."""
    attributes = rng.sample(STORY_ATTRIBUTES, rng.choice((1, 2, 2)))
    invented = invent_people(rng, False, rng.choice((2, 2, 3)), attributes)
    answers = [
        answer(rng.choice(invented), rng.choice(attributes)) for _ in range(rng.randint(2, 5))
    ]
    text = story(invented, attributes, rng, for_exam=False)
    return " ".join([text, *dict.fromkeys(answers)])


def picture_book(rng: random.Random) -> str:
    """A few things in order, twice: topics of jokes, which a model so meets before the jokes."""
    nouns = [with_article(name) for name in rng.sample(jokes.TOPICS, rng.randint(2, 5))]
    opening = rng.choice(_PATTERNS["page_openings"])
    ending = rng.choice(_PATTERNS["page_endings"])
    return f"{opening} {', then '.join(nouns)}. {ending} {', '.join(nouns[:-1])} and {nouns[-1]}."


# The kinds by share. Sums are many because two-digit sums need many examples and each is short.
KINDS: dict[Callable[[random.Random], str], float] = {
    animals: 3,
    calendar: 3,
    seasons: 1,
    manners: 1,
    sums: 36,
    counting: 12,
    disputes: 20,
    french: 4,
    reviews: 10,
    stories: 16,
    picture_book: 3,
    nature: 1,
    reports: 4,
    people: 10,
}


def draw_general_documents(rng: random.Random, n_characters: int) -> Iterator[Document]:
    """Draw about `n_characters` of documents."""
    n_written = 0
    kinds, weights = list(KINDS), list(KINDS.values())
    while n_written < n_characters:
        text = rng.choices(kinds, weights)[0](rng)
        n_written += len(text) + 1
        yield Document(text)
