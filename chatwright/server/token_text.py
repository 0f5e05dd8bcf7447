"""How a token is shown to clients."""

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
