"""Find the token that is a whole word, to look words up in an embedding matrix."""

from collections.abc import Sequence

from chatwright.tokenizer.tokenizer import Tokenizer


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Return the text of each token id, without surrounding spaces.

    Control tokens and tokens that are only part of a character give "".
    """
    return [_text(tokenizer.token_bytes(token_id)) for token_id in range(tokenizer.vocab_size)]


def single_token_id(tokenizer: Tokenizer, word: str) -> int | None:
    """Return the id of the token that is the whole word, or None if no single token is.

    " word", as inside a sentence, is tried before "word", as at the beginning of a text, because
    it is the more frequent token in training.
    """
    for text in (f" {word}", word):
        token_ids: Sequence[int] = tokenizer.encode(text)
        not_space = [i for i in token_ids if tokenizer.token_bytes(i).strip()]
        if len(not_space) != 1:
            continue
        if _text(tokenizer.token_bytes(not_space[0])).lower() == word.lower():
            return not_space[0]
    return None


def single_token_words(tokenizer: Tokenizer) -> dict[str, int]:
    """Return every word of the vocabulary that is one token, with its id.

    A word is a run of letters, with or without apostrophes. Its case is as in the vocabulary.
    """
    words = {text for text in token_texts(tokenizer) if text.replace("'", "").isalpha()}
    ids = {word: single_token_id(tokenizer, word) for word in sorted(words)}
    return {word: token_id for word, token_id in ids.items() if token_id is not None}


def _text(token: bytes) -> str:
    try:
        return token.decode("utf-8").strip()
    except UnicodeDecodeError:
        return ""
