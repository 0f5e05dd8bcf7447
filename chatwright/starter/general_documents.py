"""Training documents without facts of the fact table: animals, sums, stories, reviews, French.

Many of them are about invented people, so that a model learns to copy new names from a text.
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
from chatwright.starter.invented_people import (
    STORY_ATTRIBUTES,
    answer_about,
    draw_story,
    invent_people,
)
from chatwright.starter.phrasing import with_article
from chatwright.starter.word_lists import ANIMALS, VALUES

_PATTERNS = DataFile("patterns/general_documents.toml")


def draw_animals(rng: random.Random) -> str:
    """Draw sentences about the food, home and sound of one to three animals."""
    sentences = []
    for name in rng.sample(sorted(ANIMALS.names()), rng.choice((1, 2, 3))):
        facts = ANIMALS.table(name)
        slots = facts | {
            "name": name,
            "Animal": with_article(name).capitalize(),
            "a_young": with_article(facts["young"]),
        }
        sound, *others = (pattern.format(**slots) for pattern in _PATTERNS["animals"])
        sentences += [sound, *rng.sample(others, rng.randint(1, 3))]
    return " ".join(sentences)


def draw_calendar(rng: random.Random) -> str:
    """Draw sentences about the order of days or months."""
    kind = rng.choice(("day", "month"))
    names = VALUES[f"{kind}s"]
    sentences = []
    for _ in range(rng.randint(2, 4)):
        i = rng.randrange(len(names))
        pattern = rng.choice(_PATTERNS["calendar"])
        after = names[(i + 1) % len(names)]
        sentences.append(pattern.format(before=names[i - 1], this=names[i], after=after, kind=kind))
    return " ".join(sentences)


def draw_seasons(rng: random.Random) -> str:
    """Draw sentences about a season."""
    name = rng.choice(sorted(_PATTERNS.names("seasons")))
    slots = _PATTERNS.table(f"seasons.{name}") | {"name": name, "Name": name.capitalize()}
    sentences = [pattern.format(**slots) for pattern in _PATTERNS["season_sentences"]]
    return " ".join(rng.sample(sentences, rng.randint(2, 4)))


def draw_manners(rng: random.Random) -> str:
    """Draw rules for a good assistant."""
    return " ".join(rng.sample(_PATTERNS["manners"], rng.randint(2, 4)))


def draw_nature(rng: random.Random) -> str:
    """Draw sentences about the weather, plants, animals and children."""
    return " ".join(rng.sample(_PATTERNS["nature"], rng.randint(2, 4)))


def draw_sums(rng: random.Random) -> str:
    """Draw three to six sums and differences."""
    return " ".join(arithmetic.draw_statement(rng) for _ in range(rng.randint(3, 6)))


def draw_disputes(rng: random.Random) -> str:
    """Draw two or three disputes: two claims, the truth, and who is right.

    Replies to corrections and false premises have the same form and need many examples.
    """
    sentences: list[str] = []
    for _ in range(rng.randint(2, 3)):
        attribute = rng.choice(STORY_ATTRIBUTES)
        person, other = invent_people(rng, False, 2, [attribute])
        fact = person.facts[attribute]
        wrong = other.facts[attribute].value
        values = (fact.value, wrong)
        claims = [answer_about_person(attribute, person, value) for value in values]
        if rng.random() < 0.5:  # In a conversation, too, both claims come before the reply.
            sentences += rng.sample(claims, 2)
        if rng.random() < 0.6:
            user_is_right = rng.random() < 0.5
            sentences.append(corrections.reply_to_correction(fact, person, wrong, user_is_right))
        else:
            sentences.append(false_premises.reply_to_premise(fact, person, rng.choice(values)))
    return " ".join(sentences)


def draw_counting(rng: random.Random) -> str:
    """Draw numbers in words, or a list that ends at the right place."""
    if rng.random() < 0.4:
        start = rng.randint(0, 90)
        numbers = range(start, start + rng.randint(4, 9))
        return " ".join(f"{number} is {arithmetic.in_words(number)}." for number in numbers)
    return stopping.draw_list_task(rng, for_exam=False).answer


def draw_translations(rng: random.Random) -> str:
    """Draw two to five translations."""
    return " ".join(translation.draw_statement(rng) for _ in range(rng.randint(2, 5)))


def draw_reviews(rng: random.Random) -> str:
    """Draw one or two reviews, each with its judgments and their labels."""
    sentences = []
    for _ in range(rng.randint(1, 2)):
        drawn = sentiment.draw_reviews(rng, for_exam=False)
        answers = (review.answer for review in rng.sample(drawn, len(drawn)))
        sentences += [drawn[0].text, *answers]
    return " ".join(sentences)


def draw_stories(rng: random.Random) -> str:
    """Draw a story and sentences that answer questions about it."""
    events, text = passages.draw_passage(rng, for_exam=False)
    return f"{text} {passages.draw_answers(events, rng)}"


def draw_reports(rng: random.Random) -> str:
    """Draw a report and its summary."""
    event, text = passages.draw_report(rng, for_exam=False)
    return f"{text} In short: {event.summary}"


def draw_people(rng: random.Random) -> str:
    """Draw a story about invented people and repeat some of its facts."""
    attributes = rng.sample(STORY_ATTRIBUTES, rng.choice((1, 2, 2)))
    invented = invent_people(rng, False, rng.choice((2, 2, 3)), attributes)
    answers = [
        answer_about(rng.choice(invented), rng.choice(attributes)) for _ in range(rng.randint(2, 5))
    ]
    text = draw_story(invented, attributes, rng, for_exam=False)
    return " ".join([text, *dict.fromkeys(answers)])


def draw_picture_book(rng: random.Random) -> str:
    """Draw a few topics of jokes and list them twice in the same order."""
    nouns = [with_article(name) for name in rng.sample(jokes.TOPICS, rng.randint(2, 5))]
    opening = rng.choice(_PATTERNS["page_openings"])
    ending = rng.choice(_PATTERNS["page_endings"])
    return f"{opening} {', then '.join(nouns)}. {ending} {', '.join(nouns[:-1])} and {nouns[-1]}."


# Each kind with its relative weight. Sums have the largest: they need many examples.
KINDS: dict[Callable[[random.Random], str], float] = {
    draw_animals: 3,
    draw_calendar: 3,
    draw_seasons: 1,
    draw_manners: 1,
    draw_sums: 36,
    draw_counting: 12,
    draw_disputes: 20,
    draw_translations: 4,
    draw_reviews: 10,
    draw_stories: 16,
    draw_picture_book: 3,
    draw_nature: 1,
    draw_reports: 4,
    draw_people: 10,
}


def draw_general_documents(rng: random.Random, n_characters: int) -> Iterator[Document]:
    """Draw documents with about `n_characters` in total."""
    n_written = 0
    kinds = list(KINDS)
    weights = list(KINDS.values())
    while n_written < n_characters:
        text = rng.choices(kinds, weights)[0](rng)
        n_written += len(text) + 1
        yield Document(text)
