"""Read the fields of tokenizer.json that Chatwright uses, and check them.

tokenizer.json is the file format of the Hugging Face `tokenizers` library: a vocabulary and merges
("model"), added tokens, and the steps around them (normalizer, pre-tokenizer, decoder).
"""

from __future__ import annotations

from typing import Any

from chatwright.errors import InputError

MAX_ID = 2**22  # far above real vocabularies, but small enough for lists of all ids
DOWNLOAD_AGAIN = "Download the model's files again."

Document = dict[str, Any]  # tokenizer.json
AddedToken = dict[str, Any]  # an entry of "added_tokens": id, content and flags


def vocabulary_ids(document: Document) -> dict[str, int]:
    """Return the ids of the vocabulary's tokens, without added tokens.

    Raises InputError if there is no vocabulary or its ids are invalid.
    """
    model = document.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocab, list) and all(_is_scored_piece(piece) for piece in vocab):
        return {piece[0]: index for index, piece in enumerate(vocab)}
    if not isinstance(vocab, dict):
        raise InputError(
            "tokenizer.json holds no vocabulary of a supported kind (BPE, WordPiece or Unigram).",
            remedy=DOWNLOAD_AGAIN,
            field="model.vocab",
        )
    for token, token_id in vocab.items():
        _require_id(token, token_id)
    return vocab


def vocabulary_tokens(document: Document) -> dict[int, str]:
    """Return the tokens of the vocabulary and the added tokens by id.

    Raises InputError if the vocabulary is empty or gives two tokens the same id.
    """
    vocab = vocabulary_ids(document)
    pieces = document["model"]["vocab"]
    if isinstance(pieces, list):  # a Unigram vocabulary may hold a piece twice
        tokens = {index: piece[0] for index, piece in enumerate(pieces)}
    else:
        tokens = {token_id: token for token, token_id in vocab.items()}
    if not tokens or len(tokens) < len(vocab):
        problem = "gives two tokens the same id" if tokens else "has an empty vocabulary"
        raise InputError(f"tokenizer.json {problem}.", remedy=DOWNLOAD_AGAIN, field="model.vocab")
    return tokens | {token["id"]: token["content"] for token in added_tokens(document)}


def added_tokens(document: Document) -> list[AddedToken]:
    """Return the list "added_tokens". Raises InputError if it is malformed."""
    tokens = document.get("added_tokens") or []
    if not isinstance(tokens, list) or not all(_is_added_token(token) for token in tokens):
        raise InputError(
            "tokenizer.json: added_tokens must be a list of tokens with id and content.",
            remedy=DOWNLOAD_AGAIN,
            field="added_tokens",
        )
    for token in tokens:
        _require_id(token["content"], token["id"])
    return tokens


def all_tokens(document: Document) -> set[str]:
    """Return all tokens: the vocabulary and the added tokens."""
    return {*vocabulary_ids(document), *(token["content"] for token in added_tokens(document))}


def new_added_token(token_id: int, content: str, special: bool, **flags: bool) -> AddedToken:
    """Return an entry of "added_tokens", with transformers' defaults for missing flags."""
    defaults = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special}
    return {"id": token_id, "content": content, **defaults, **flags, "special": special}


def is_id(value: Any) -> bool:
    """Whether a value can be a token id."""
    return type(value) is int and 0 <= value < MAX_ID


def _is_scored_piece(piece: Any) -> bool:
    return isinstance(piece, list) and len(piece) == 2 and isinstance(piece[0], str)


def _is_added_token(token: Any) -> bool:
    if not isinstance(token, dict):
        return False
    return type(token.get("id")) is int and isinstance(token.get("content"), str)


def _require_id(token: str, token_id: Any) -> None:
    if not is_id(token_id):
        raise InputError(
            f"tokenizer.json: the id of {token[:40]!r} is {str(token_id)[:40]}, not an integer "
            f"from 0 to {MAX_ID - 1:,}.",
            remedy=DOWNLOAD_AGAIN,
            field="model.vocab",
            value=token_id,
        )
