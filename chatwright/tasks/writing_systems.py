"""Writing systems without spaces between words, such as Chinese, Japanese and Thai.

Text in them is compared character by character, and pieces are joined without a space.
"""

import unicodedata
from collections.abc import Iterable
from itertools import islice

# Prefixes of the Unicode names of the characters of these scripts.
UNSPACED_SCRIPTS = (
    "CJK ",
    "HIRAGANA ",
    "KATAKANA ",
    "THAI ",
    "LAO ",
    "KHMER ",
    "MYANMAR ",
    "TIBETAN ",
    "FULLWIDTH ",
    "IDEOGRAPHIC ",
)
SAMPLE_LETTERS = 100_000  # enough to estimate a share


def is_unspaced(character: str) -> bool:
    """Whether the character belongs to a script without spaces between words."""
    return unicodedata.name(character, "").startswith(UNSPACED_SCRIPTS)


def unspaced_share(texts: Iterable[str]) -> float:
    """Estimate which share of the letters belongs to scripts without spaces; 0 without letters."""
    letters = (character for text in texts for character in text if character.isalpha())
    sample = [is_unspaced(character) for character in islice(letters, SAMPLE_LETTERS)]
    return sum(sample) / len(sample) if sample else 0.0
