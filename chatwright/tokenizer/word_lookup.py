"""Which one token spells a word: what looking words up in an embedding matrix needs."""

from collections.abc import Sequence

from chatwright.tokenizer.tokenizer import Tokenizer


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """What every id spells, without the space that may stand before it; "" for control ids and pieces of characters."""
    return [_decoded(tokenizer.token_bytes(token_id)) for token_id in range(tokenizer.vocab_size)]


def _decoded(spelling: bytes) -> str:
    try:
        return spelling.decode("utf-8").strip()
    except UnicodeDecodeError:
        return ""


def single_token_id(tokenizer: Tokenizer, word: str) -> int | None:
    """The token that is the whole word: as it stands inside a sentence where that is one token, else as it stands at a beginning.

    None where the word takes several tokens, or is not in the vocabulary.
    """
    for text in (f" {word}", word):
        token_ids: Sequence[int] = tokenizer.encode(text)
        whole = [i for i in token_ids if tokenizer.token_bytes(i).strip()]
        if len(whole) == 1 and _decoded(tokenizer.token_bytes(whole[0])).lower() == word.lower():
            return whole[0]
    return None


def single_token_words(tokenizer: Tokenizer) -> dict[str, int]:
    """Every word that is one token -> its id. A word is a run of letters, perhaps with an apostrophe; case is kept as the vocabulary has it."""
    words = sorted({word for word in token_texts(tokenizer) if word.replace("'", "").isalpha()})
    found = {word: single_token_id(tokenizer, word) for word in words}
    return {word: token_id for word, token_id in found.items() if token_id is not None}
