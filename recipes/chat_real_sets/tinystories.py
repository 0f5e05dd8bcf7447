"""Children's stories of the tinystories sample, with their capitals restored."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from chat_real_sets.cleaning import BROKEN, Dropped, clean, n_word
from chat_real_sets.files import read_text

# fmt: off
NO_NAMES = {
    "may", "out", "will", "hope", "mom", "dad", "mommy", "daddy", "mum", "mummy", "grandma",
    "grandpa",
}
# fmt: on
"""Words that the rule below takes for names."""
MAX_COMMON_SHARE = 0.15
"""A word that follows an article more often than this is no name: "the spot", "a star"."""


def tinystories(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield the stories.

    The published sample is all lower-case. Rules put the capitals back, so some names stay small.
    """
    text = clean(read_text(data / "tinystories-sample" / "tinystories.txt.xz"))
    # Paragraphs of a story are a blank line apart; a new story begins on the next line.
    stories = re.split(r"(?<!\n)\n(?!\n)", text)
    names = _names(text)
    for story in stories:
        if n_word(story) < 40:
            dropped["under 40 words"] += 1
        elif BROKEN.search(story):
            dropped["broken characters"] += 1
        elif not story.rstrip('"').endswith((".", "!", "?")):
            dropped["cut off"] += 1
        else:
            yield restore_case(story, names)


def _names(text: str) -> set[str]:
    """The words that are names: introduced as one ("named tim"), or beside one ("lily and ben")."""
    introduced = Counter(re.findall(r"\b(?:named|name was|name is) ([a-z]{3,})\b", text))
    after_article = Counter(
        re.findall(
            r"\b(?:the|an?|her|his|my|some|very|so|to|was|were|its) ([a-z]+)\b",
            text,
        )
    )
    anywhere = Counter(re.findall(r"[a-z]+", text))

    def is_frequent(word: str, count: int, min_count: int, min_share: float) -> bool:
        is_common = after_article[word] >= MAX_COMMON_SHARE * anywhere[word]
        return count >= min_count and count > min_share * anywhere[word] and not is_common

    names = {name for name, n in introduced.items() if is_frequent(name, n, 2, 0.015)}
    pairs = re.findall(r"\b([a-z]+) and (?=([a-z]{3,})\b)", text)
    beside = Counter(second for first, second in pairs if first in names)
    names |= {name for name, n in beside.items() if is_frequent(name, n, 5, 0.1)}
    return names - NO_NAMES


def restore_case(text: str, names: set[str]) -> str:
    """Write capitals at the start of sentences and quotations, for "I" and for names."""
    text = re.sub(r"(^|\n\n|[.!?]['\"]? +\"?|[,:] \")([a-z])", lambda m: m[1] + m[2].upper(), text)
    text = re.sub(r"(^|\n\n)\"([a-z])", lambda m: f'{m[1]}"{m[2].upper()}', text)
    text = re.sub(r"\bi(?=\b(?!-))", "I", text)
    text = re.sub(r"\b(mr|mrs|dr)(?=\.? )", lambda m: m[1].capitalize(), text)
    return re.sub(r"\b[a-z]{3,}\b", lambda m: m[0].capitalize() if m[0] in names else m[0], text)
