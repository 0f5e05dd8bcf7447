"""What may be encoded: any Python string that is valid Unicode.

Python strings can hold lone surrogates (from command-line arguments with broken bytes, or JSON "\\ud800"), which no UTF-8
can carry. Both tokenizers refuse them with the same sentence. The sentence names the position, never the text.
"""

from __future__ import annotations


def require_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text holds a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}, which is not valid "
            "Unicode: read the source as UTF-8, or replace the character"
        ) from None
