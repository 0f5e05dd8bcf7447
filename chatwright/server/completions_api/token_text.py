"""How a token is shown to clients."""

from collections.abc import Sequence

from chatwright.tokenizer.tokenizer import Tokenizer


def token_text(tokenizer: Tokenizer, token_id: int) -> tuple[str, list[int] | None]:
    """Return a token's text and bytes; for a control token its string and None.

    Bytes that are no whole character are U+FFFD in the text.
    """
    control = tokenizer.control.string_of(token_id)
    if control is not None:
        return control, None
    content = tokenizer.token_bytes(token_id)
    return content.decode("utf-8", errors="replace"), list(content)


def text_of(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """Return the text of token ids, without the token that begins a document.

    Some imported tokenizers begin documents with their unknown token, which decodes to U+FFFD.
    """
    n_begin = begins_document(tokenizer, token_ids)
    return tokenizer.decode(token_ids[n_begin:])


def begins_document(tokenizer: Tokenizer, token_ids: Sequence[int]) -> bool:
    """Return whether the first token is the one that begins a document."""
    return bool(token_ids) and token_ids[0] == tokenizer.control.bos
