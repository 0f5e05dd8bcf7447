"""Split a text that is longer than a model's context, and join the results.

The text is cut in two at the sentence end nearest its middle, and each half again until it fits.
Where there is no sentence end, the cut is at the end of a clause, then at a space, then anywhere.
"""

import re
from collections.abc import Callable, Sequence

from chatwright.errors import InputError
from chatwright.tasks.writing_systems import is_unspaced

# A match ends where the next piece begins. Punctuation of Chinese and Japanese needs no space.
BOUNDARIES = (
    re.compile(r"""[.!?…]['")\]»”’]*\s+|[。！？｡][」』”’）]*|\n+"""),  # sentences
    re.compile(r"[,;:]\s+|\s[–—-]\s+|[，；：、]"),  # clauses
    re.compile(r"\s+"),  # words
)


def split_text(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Split a text into pieces that fit, without surrounding spaces. `fits` checks a piece.

    Raises:
        InputError: Not even a single character fits.
    """
    text = text.strip()
    if fits(text):
        return [text]
    if len(text) < 2:
        raise InputError(
            f"The character {text!r} has more tokens than the model's context holds.",
            remedy="Remove it, or use a model with a longer context.",
            field="text",
            value=text,
        )
    cut = _best_cut(text)
    return [*split_text(text[:cut], fits), *split_text(text[cut:], fits)]


def _best_cut(text: str) -> int:
    """Find the cut nearest the middle: after a sentence, else a clause, else a word."""
    middle = len(text) // 2
    for boundary in BOUNDARIES:
        cuts = [match.end() for match in boundary.finditer(text) if match.end() < len(text)]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - middle))
    return middle


def join_texts(texts: Sequence[str]) -> str:
    """Join pieces with spaces, except between two characters of scripts without spaces."""
    joined = ""
    for text in filter(None, texts):
        needs_space = joined and not (is_unspaced(joined[-1]) and is_unspaced(text[0]))
        joined += f" {text}" if needs_space else text
    return joined
