"""Find the names, numbers and list words in a text of the starter corpus.

facts_in("Mira lives in Marn.")  -> ["mira", "marn"]
mask("Where does Mira live?")    -> "where does {} live?"
"""

import re
from functools import cache, lru_cache

from chatwright.starter.word_lists import (
    ANIMALS,
    DEEDS,
    NAMES,
    NUMBERS,
    OPINIONS,
    THINGS,
    VALUES,
)

LABELS = ("positive", "negative", "neutral")
_LISTS = (NAMES, NUMBERS, OPINIONS, THINGS, VALUES)
_PHONE = re.compile(r"\d{3}-\d{4}")
_TOKEN = re.compile(r"[\w.]+@[\w.]+\w|\d+(?:[:.-]\d+)*|[^\W\d_]+")


@cache
def known_names() -> frozenset[str]:
    """Return the names that the fact table can have: of people, towns, pets and shops."""
    names = {name for key in ("girls", "boys", "towns", "pets") for name in NAMES[key]}
    colors, nouns = NAMES["shop_colors"], NAMES["shop_nouns"]
    return frozenset(names | {f"{color} {noun}" for color in colors for noun in nouns})


@cache
def _list_words() -> frozenset[str]:
    """Return the words of all lists in lower case, without the parts of invented names."""
    words = {
        word.lower()
        for file in _LISTS
        for name in file.list_names()
        if not name.startswith("invented.")
        for word in file[name]
    }
    deeds = {*DEEDS.table("deeds").values(), *DEEDS.table("more_deeds").values()}
    return frozenset(words | deeds | {*ANIMALS.names(), *LABELS})


@cache
def _invented_name() -> re.Pattern[str]:
    endings = (*NAMES["invented.person_endings"], *NAMES["invented.town_endings"])
    parts = [NAMES[f"invented.{part}"] for part in ("starts", "vowels", "middles")]
    return re.compile("".join(f"(?:{'|'.join(part)})" for part in (*parts, endings)))


@lru_cache(100_000)
def _is_name(token: str) -> bool:
    """Whether a token alone is a name, an e-mail address or a phone number."""
    return (
        "@" in token
        or token in known_names()
        or _PHONE.fullmatch(token) is not None
        or _invented_name().fullmatch(token) is not None
    )


@lru_cache(100_000)
def _is_fact(token: str) -> bool:
    return token[0].isdigit() or token.lower() in _list_words() or _is_name(token)


def facts_in(text: str) -> list[str]:
    """Return the names, numbers and list words of a text in order, in lower case."""
    return [token.lower() for token in _TOKEN.findall(text) if _is_fact(token)]


def names_in(text: str) -> list[str]:
    """Return the names of people, towns, pets and shops, the addresses and phone numbers."""
    tokens = _TOKEN.findall(text)
    names = []
    for i, token in enumerate(tokens):
        if (pair := " ".join(tokens[i : i + 2])) in known_names():
            names.append(pair)
        elif _is_name(token) and " ".join(tokens[max(i - 1, 0) : i + 1]) not in known_names():
            names.append(token)
    return names


def mask(text: str) -> str:
    """Replace all facts by {} and leave out case and spaces: the wording alone."""
    parts = _TOKEN.split(text)  # what is between the facts and words
    tokens = ["{}" if _is_fact(token) else token.lower() for token in _TOKEN.findall(text)]
    joined = "".join(f"{part}{token}" for part, token in zip(parts, [*tokens, ""], strict=True))
    return " ".join(joined.split())
