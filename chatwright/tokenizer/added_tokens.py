"""Collect a tokenizer's added tokens and special tokens from all files that may hold them.

Added tokens extend a vocabulary without retraining it. Special tokens, such as <s>, mark the
beginning of a text and the like. They can be in:

    tokenizer.json             the list "added_tokens"
    tokenizer_config.json      "added_tokens_decoder", and names such as "bos_token"
    special_tokens_map.json    names such as "bos_token", in older models
    added_tokens.json          {"[PAD]": 50257}, in older models

The rules are those of transformers 5 (`from_pretrained` in tokenization_utils_base.py):
added_tokens.json is read only if there is no "added_tokens_decoder", and a special token without an
id gets the next free one.
"""

from __future__ import annotations

from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import tokenizer_json
from chatwright.tokenizer.tokenizer_json import (
    DOWNLOAD_AGAIN,
    AddedToken,
    Document,
    new_added_token,
)

# The names of special tokens in Chatwright.
NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# Special tokens and their names, for models so old that no file names them.
DEFAULT_SPECIAL_TOKENS: dict[str, tuple[str, ...]] = {
    "<|endoftext|>": ("bos", "eos"),
    "<s>": ("bos", "cls"),
    "</s>": ("eos", "sep"),
    "<pad>": ("pad",),
    "<unk>": ("unk",),
    "<mask>": ("mask",),
    "[UNK]": ("unk",),
    "[SEP]": ("sep",),
    "[PAD]": ("pad",),
    "[CLS]": ("cls",),
    "[MASK]": ("mask",),
}
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")

JsonObject = dict[str, Any]


def collect(
    document: Document, json_files: dict[str, JsonObject]
) -> tuple[Document, dict[str, str]]:
    """Add the tokens of the other files to tokenizer.json.

    Args:
        document: tokenizer.json.
        json_files: The parsed JSON files, by file name.

    Returns tokenizer.json with all added tokens, and the special tokens by name, for example
    {"bos": "<s>"}. Raises InputError if a file is malformed.
    """
    settings = json_files.get("tokenizer_config.json", {})
    token_map = json_files.get("special_tokens_map.json", {})
    has_decoder = "added_tokens_decoder" in settings
    # Where both files name a token, tokenizer_config.json wins if it has added_tokens_decoder, else
    # the older special_tokens_map.json.
    fallback, preferred = (token_map, settings) if has_decoder else (settings, token_map)
    named = _named_tokens(fallback) | _named_tokens(preferred)
    unnamed = [*_unnamed_tokens(fallback), *_unnamed_tokens(preferred)]

    vocabulary = _GrowingVocabulary(document)
    if has_decoder:
        declared = _from_decoder(settings["added_tokens_decoder"])
    else:
        added = json_files.get("added_tokens.json", {})
        declared = _from_added_tokens_json(added, {*named.values(), *unnamed})
    for token in sorted(declared, key=lambda token: token["id"]):
        vocabulary.add(token)
    for name in NAMES:
        if name in named:
            vocabulary.add_if_missing(named[name])
    for content in unnamed:
        vocabulary.make_special(content)

    document = vocabulary.document()
    return document, default_special_tokens(document) | named


def default_special_tokens(document: Document) -> dict[str, str]:
    """Return the usual special tokens that a vocabulary has, by name."""
    known = tokenizer_json.all_tokens(document)
    return {
        name: content
        for content, names in DEFAULT_SPECIAL_TOKENS.items()
        for name in names
        if content in known
    }


class _GrowingVocabulary:
    """The vocabulary of a tokenizer.json while tokens are added to it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._vocabulary_ids = tokenizer_json.vocabulary_ids(document)
        self._added = {token["content"]: token for token in tokenizer_json.added_tokens(document)}
        self._used_ids = {*self._vocabulary_ids.values()}
        self._used_ids |= {token["id"] for token in self._added.values()}
        self._is_changed = False

    def add(self, token: AddedToken) -> None:
        """Add a token, or change the flags of an existing one.

        An existing token keeps its id. A new token gets the id that its file declares, or the next
        free id if another token has it.
        """
        token_id = self._id_of(token["content"])
        if token_id is None:
            token_id = self._next_id() if token["id"] in self._used_ids else token["id"]
        self._set(token | {"id": token_id})

    def add_if_missing(self, content: str) -> None:
        """Add a special token if the vocabulary does not have it."""
        if self._id_of(content) is None:
            self._set(new_added_token(self._next_id(), content, special=True))

    def make_special(self, content: str) -> None:
        """Make a token special, unless it is an added token, whose flags are known."""
        if content not in self._added:
            token_id = self._id_of(content)
            token_id = self._next_id() if token_id is None else token_id
            self._set(new_added_token(token_id, content, special=True))

    def document(self) -> Document:
        """Return tokenizer.json with the tokens added so far."""
        if not self._is_changed:
            return self._document
        tokens = sorted(self._added.values(), key=lambda token: token["id"])
        return self._document | {"added_tokens": tokens}

    def _set(self, token: AddedToken) -> None:
        if self._added.get(token["content"]) != token:
            self._added[token["content"]] = token
            self._used_ids.add(token["id"])
            self._is_changed = True

    def _id_of(self, content: str) -> int | None:
        if content in self._added:
            return int(self._added[content]["id"])
        return self._vocabulary_ids.get(content)

    def _next_id(self) -> int:
        return max(self._used_ids, default=-1) + 1


def _named_tokens(settings: JsonObject) -> dict[str, str]:
    """Return {"bos": "<s>"} from {"bos_token": "<s>"} or {"bos_token": {"content": "<s>"}}."""
    named = {name: _content(settings.get(f"{name}_token")) for name in NAMES}
    return {name: content for name, content in named.items() if content}


def _unnamed_tokens(settings: JsonObject) -> list[str]:
    """Return special tokens whose names are not in NAMES, such as "image_token"."""
    values = [
        value
        for key, value in settings.items()
        if key.endswith("_token") and key.removesuffix("_token") not in NAMES
    ]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = settings.get(key) or []
        values += (
            more.values() if isinstance(more, dict) else more if isinstance(more, list) else []
        )
    return [content for content in map(_content, values) if content]


def _content(value: Any) -> str:
    value = value.get("content") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _from_decoder(decoder: Any) -> list[AddedToken]:
    """Read "added_tokens_decoder": {"50257": {"content": "[PAD]", "special": true, ...}}."""
    if not isinstance(decoder, dict):
        raise _malformed("tokenizer_config.json", "added_tokens_decoder", decoder)
    tokens = []
    for token_id, token in decoder.items():
        is_valid = token_id.isdecimal() and tokenizer_json.is_id(int(token_id))
        if not is_valid or not isinstance(token, dict) or not _content(token):
            raise _malformed("tokenizer_config.json", "added_tokens_decoder", token_id)
        flags = {flag: bool(token[flag]) for flag in FLAGS if flag in token}
        special = bool(token.get("special", False))
        tokens.append(new_added_token(int(token_id), _content(token), special, **flags))
    return tokens


def _from_added_tokens_json(ids: JsonObject, special: set[str]) -> list[AddedToken]:
    """Read added_tokens.json: {"[PAD]": 50257}. The tokens in `special` are special."""
    for content, token_id in ids.items():
        if not tokenizer_json.is_id(token_id) or not content:
            raise _malformed("added_tokens.json", content, token_id)
    return [new_added_token(i, content, content in special) for content, i in ids.items()]


def _malformed(file: str, key: str, value: object) -> InputError:
    return InputError(
        f"{file}: {key[:40]!r} ({str(value)[:40]}) does not give tokens and ids.",
        remedy=DOWNLOAD_AGAIN,
        field=file,
        value=value,
    )
