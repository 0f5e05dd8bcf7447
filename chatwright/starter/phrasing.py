"""Turn sentence patterns into sentences.

A pattern lists alternatives in square brackets: "[Say|Tell me], [|please,] where {s} lives."
Brackets can be nested. Slots in braces stay as they are until `str.format` fills them.
"""

import random
import re

_INNERMOST_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_SPACE_BEFORE_PUNCTUATION = re.compile(r" +(?=[.,:?!])")


def expand(pattern: str, rng: random.Random) -> str:
    """Draw one alternative for every pair of brackets, the innermost first."""
    n_replaced = 1
    while n_replaced:
        pattern, n_replaced = _INNERMOST_BRACKETS.subn(
            lambda match: rng.choice(match[1].split("|")), pattern
        )
    return " ".join(pattern.split())


def capitalize_first(text: str) -> str:
    """Capitalize the first letter and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def as_sentence(text: str) -> str:
    """Capitalize the first letter and remove spaces before punctuation.

    Such spaces remain where an empty alternative was drawn.
    """
    return _SPACE_BEFORE_PUNCTUATION.sub("", capitalize_first(text))


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
