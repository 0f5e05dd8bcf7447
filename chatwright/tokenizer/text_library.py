"""Encode text with the vocabulary of an imported tokenizer, but never to its special tokens.

The `tokenizers` library finds special tokens inside text even if asked not to, and vocabularies
converted from SentencePiece can merge text into them. They are therefore removed from the library's
vocabulary.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import tokenizers

from chatwright.errors import InputError
from chatwright.tokenizer import sentencepiece_file, tokenizer_json
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.imported_vocabulary import ImportedVocabulary, is_marker
from chatwright.tokenizer.token_bytes import WORD_START
from chatwright.tokenizer.tokenizer_json import DOWNLOAD_AGAIN, AddedToken, Document


class TextLibrary:
    """The `tokenizers` library's tokenizer, restricted to the ids of text tokens.

    An added word is an added token that is not a marker (see `imported_vocabulary.py`).
    """

    def __init__(self, files: TokenizerFiles, vocabulary: ImportedVocabulary) -> None:
        """Build the library's tokenizer. Raises InputError if the library refuses the files."""
        self._vocabulary = vocabulary
        self._n_known = files.n_token
        self._normalize = None
        document = files.document
        words = [token for token in tokenizer_json.added_tokens(document) if not is_marker(token)]
        if files.sentencepiece is not None:
            self._normalize = sentencepiece_file.normalizer(files.sentencepiece)
            # `_normalize` already does these steps, exactly as SentencePiece does them.
            document = document | {"normalizer": None, "pre_tokenizer": None}
            words = [word | {"content": word["content"].replace(" ", WORD_START)} for word in words]
        forbidden = {vocabulary.tokens[token_id] for token_id in vocabulary.forbidden}
        self._library = _load(document, words, forbidden | files.unreachable)
        later = _without_first_prefix(document.get("pre_tokenizer"))
        self.has_first_prefix = later != document.get("pre_tokenizer")
        """Whether the first text of an input gets a prefix that texts after a marker lack."""
        document = document | {"pre_tokenizer": later}
        self._load_later = partial(_load, document, words, forbidden | files.unreachable)
        self._file_id_of = _file_ids_of_words(self._library, document, words)
        self._word_start_id = vocabulary.ids.get(WORD_START) if self._normalize else None

    @cached_property
    def _later_library(self) -> tokenizers.Tokenizer:
        return self._load_later() if self.has_first_prefix else self._library

    def encode_batch(self, texts: Sequence[str], is_first: bool = True) -> list[list[int]]:
        """Return the ids of each text; `is_first` is False for texts after a marker."""
        if self._normalize is not None:
            texts = [self._normalize(text) for text in texts]
        library = self._library if is_first else self._later_library
        encodings = library.encode_batch_fast(list(texts), add_special_tokens=False)
        encoded = [encoding.ids for encoding in encodings]
        if self._file_id_of:
            encoded = [self._with_file_ids(ids) for ids in encoded]
        if self._n_known is not None:
            encoded = [self._known_ids(text, ids) for text, ids in zip(texts, encoded, strict=True)]
        return encoded

    def _with_file_ids(self, ids: list[int]) -> list[int]:
        """Replace the library's ids of added words by those of the file."""
        starts_with_word = len(ids) > 1 and ids[1] in self._file_id_of
        if starts_with_word and ids[0] == self._word_start_id:
            # A text that begins with an added word gets no "▁" before it, as in transformers.
            ids = ids[1:]
        return [self._file_id_of.get(token_id, token_id) for token_id in ids]

    def _known_ids(self, text: str, ids: Sequence[int]) -> list[int]:
        """Replace the ids that MarianMT's translation model does not know by the unknown token.

        A part of the text that is unknown in this language may be a piece of the other language.
        It gets the id of that piece.
        """
        unknown, n_known = self._vocabulary.named_ids["unk"], self._n_known
        assert n_known is not None, "only MarianMT has pieces without an id"
        if unknown not in ids:
            return [token_id if token_id < n_known else unknown for token_id in ids]
        forbidden = self._vocabulary.forbidden
        known = []
        encoding = self._library.encode(text, add_special_tokens=False)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if token_id == unknown:
                token_id = self._vocabulary.ids.get(text[start:end], unknown)
            is_known = token_id < n_known and token_id not in forbidden
            known.append(token_id if is_known else unknown)
        return known


def _without_first_prefix(pre_tokenizer: Any) -> Any:
    """Return a pre-tokenizer that adds no prefix to the first text of an input only."""
    match pre_tokenizer:
        case {"type": "Metaspace", "prepend_scheme": "first"}:
            return pre_tokenizer | {"prepend_scheme": "never"}
        case {"type": "Sequence", "pretokenizers": [*steps]}:
            return pre_tokenizer | {"pretokenizers": [_without_first_prefix(s) for s in steps]}
    return pre_tokenizer


def _load(document: Document, words: list[AddedToken], forbidden: set[str]) -> tokenizers.Tokenizer:
    """Build the library's tokenizer with `words` as its only added tokens."""
    model = _without(forbidden, document["model"])
    if words and isinstance(model["vocab"], dict):
        model["vocab"] = _without_gaps(model["vocab"])
    stripped = document | {
        "model": model,
        "added_tokens": words,
        "post_processor": None,
        "truncation": None,
        "padding": None,
    }
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(stripped))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare Exception and its own panic type
        raise InputError(
            f"tokenizer.json cannot be used ({str(error)[:200]}).",
            remedy=DOWNLOAD_AGAIN,
            field="tokenizer.json",
        ) from None


def _without(forbidden: set[str], model: dict[str, Any]) -> dict[str, Any]:
    """Return the model with placeholders instead of `forbidden` tokens, so that all ids stay.

    No text matches a placeholder, because it contains spaces: they are split off or rewritten
    before the vocabulary is looked up.
    """
    model = copy.copy(model)
    if isinstance(model["vocab"], dict):
        model["vocab"] = {
            _placeholder(token_id) if token in forbidden else token: token_id
            for token, token_id in model["vocab"].items()
        }
    else:  # the index of a Unigram piece is its id
        model["vocab"] = [
            [_placeholder(index) if piece in forbidden else piece, score]
            for index, (piece, score) in enumerate(model["vocab"])
        ]
    if model.get("merges"):
        model["merges"] = [pair for pair in model["merges"] if _merged(pair) not in forbidden]
    return model


def _without_gaps(vocab: dict[str, int]) -> dict[str, int]:
    """Fill unused ids with placeholders.

    The library gives the first added word the number of tokens as its id. If the ids had gaps, a
    token could already have this id.
    """
    gaps = set(range(max(vocab.values()) + 1)) - {*vocab.values()}
    return vocab | {_placeholder(token_id): token_id for token_id in gaps}


def _placeholder(token_id: int) -> str:
    return f"no text {token_id}"


def _file_ids_of_words(
    library: tokenizers.Tokenizer, document: Document, words: list[AddedToken]
) -> dict[int, int]:
    """Return the file's id of each added word, by the id that the library gave it.

    The library numbers added tokens itself, from the size of the vocabulary on.
    """
    vocab = tokenizer_json.vocabulary_ids(document)
    file_ids = {}
    for word in words:
        library_id = library.token_to_id(word["content"])
        if word["content"] not in vocab and library_id is not None:
            file_ids[library_id] = int(word["id"])
    return file_ids


def _merged(pair: Any) -> str:
    """Return the token that a merge gives. A merge is written as "a b" or ["a", "b"]."""
    return pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(map(str, pair))
