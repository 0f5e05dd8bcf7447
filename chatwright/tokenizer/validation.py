"""Checks of what callers pass to a tokenizer: valid Unicode, token ids that exist."""

from __future__ import annotations

from chatwright.errors import InputError


def require_unicode(text: str) -> None:
    """Raise InputError if `text` holds a lone surrogate, which UTF-8 cannot encode.

    Lone surrogates (U+D800 to U+DFFF) come from command-line arguments with broken bytes, or from
    escapes in JSON. The message names the position and never quotes the text, because logs must not
    contain what users wrote.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code_point = ord(text[error.start])
        raise InputError(
            f"The text holds a lone surrogate (U+{code_point:04X}) at character {error.start}, "
            "which is not valid Unicode.",
            remedy="Read the source as UTF-8, or replace the character.",
            value=error.start,
        ) from None


def require_known_id(token_id: int, vocab_size: int) -> None:
    """Raise InputError unless 0 <= token_id < vocab_size."""
    if not 0 <= token_id < vocab_size:
        raise InputError(
            f"The token id {token_id} is outside this tokenizer's {vocab_size} ids.",
            remedy="Decode ids with the tokenizer that encoded them.",
            field="token_id",
            value=token_id,
        )
