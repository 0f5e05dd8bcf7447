"""Check the tokenizer settings of a GGUF file, whose names begin with "tokenizer.".

Everything is checked here: types, lengths, ranges, duplicates. The other modules rely on it. The
meaning of the settings is llama.cpp's (src/llama-vocab.cpp).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer.tokenizer_json import MAX_ID

# llama.cpp's token types (llama_token_type in llama.h), which are also SentencePiece's.
UNDEFINED = 0
NORMAL = 1
UNKNOWN = 2
CONTROL = 3
USER_DEFINED = 4
UNUSED = 5
BYTE = 6
# Our name of a special token -> its name in "tokenizer.ggml.{name}_token_id".
SPECIAL_TOKENS = {
    "bos": "bos",
    "eos": "eos",
    "pad": "padding",
    "unk": "unknown",
    "sep": "seperator",  # sic
    "cls": "cls",
    "mask": "mask",
    "eot": "eot",
    "eom": "eom",
}
FLAGS = (
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
)
PLACEHOLDER = re.compile(r"\[(PAD|EMPTY_)\d+\]")
# Written by Chatwright: llama.cpp's names of pre-tokenizers do not say how a text is normalized.
NORMALIZER = "tokenizer.chatwright.normalizer"
SPACE_BEFORE = "space_before"  # a space is put before every text; the chat template holds it
NORMALIZERS = ("none", "NFC", SPACE_BEFORE)
MODEL = "tokenizer.ggml.model"
TOKENS = "tokenizer.ggml.tokens"
MERGES = "tokenizer.ggml.merges"
TEMPLATE = "tokenizer.chat_template"
MAX_CHARSMAP_BYTES = 2**22
REMEDY = "The file is damaged or unusual: download it again, or another conversion of the model."


@dataclass(frozen=True)
class GgufVocabulary:
    """The tokenizer of a GGUF file."""

    model: str  # gpt2, llama, bert, t5, ...
    pre: str | None  # llama.cpp's name of the pre-tokenizer
    tokens: Sequence[str]  # by id
    types: Sequence[int]  # by id
    scores: Sequence[float]  # by id; zeros if the file has none
    merges: Sequence[str] | None  # "left right"; None: the file has none
    ids: Mapping[str, int]  # of the special tokens: bos, eos, pad, unk, sep, cls, mask, eot, eom
    flags: Mapping[str, bool]  # names in FLAGS
    charsmap: bytes  # SentencePiece's normalization of characters
    normalizer: str | None  # a name in NORMALIZERS, if Chatwright wrote the file
    templates: Mapping[str, str]  # chat templates by name; "default" is the one for chatting

    def is_gap(self, token_id: int) -> bool:
        """Whether an id has no token; the file holds a placeholder such as "[PAD7]" for it."""
        is_unused = self.types[token_id] == UNUSED
        return is_unused and PLACEHOLDER.fullmatch(self.tokens[token_id]) is not None

    def id_of(self, name: str) -> int:
        """Return a special token's id. Raises InputError if the file does not name it."""
        if name not in self.ids:
            raise malformed(id_field(name), "is missing, but the tokenizer needs this token")
        return self.ids[name]


def read(fields: Mapping[str, Any]) -> GgufVocabulary:
    """Check the settings that begin with "tokenizer.". Raises InputError naming the wrong one."""
    texts = _texts(fields, TOKENS)
    tokens = _unique([text or f"[EMPTY_{i}]" for i, text in enumerate(texts)])
    n = len(tokens)
    types = _numbers(fields, "tokenizer.ggml.token_type", n, is_type) or [NORMAL] * n
    if "" in texts:
        types = [kind if text else UNUSED for text, kind in zip(texts, types, strict=True)]
    return GgufVocabulary(
        model=_text(fields, MODEL) or "",
        pre=_text(fields, "tokenizer.ggml.pre"),
        tokens=tokens,
        types=types,
        scores=_numbers(fields, "tokenizer.ggml.scores", n, is_score) or [0.0] * n,
        merges=_texts(fields, MERGES) if MERGES in fields else None,
        ids=_special_ids(fields, n),
        flags=_flags(fields),
        charsmap=_charsmap(fields),
        normalizer=_normalizer(fields),
        templates=_templates(fields),
    )


def id_field(name: str) -> str:
    """Return the setting that holds the id of a special token."""
    return f"tokenizer.ggml.{SPECIAL_TOKENS[name]}_token_id"


def is_type(value: Any) -> bool:
    """Whether a value is one of llama.cpp's token types."""
    return type(value) is int and UNDEFINED <= value <= BYTE


def is_score(value: Any) -> bool:
    """Whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def malformed(field: str, problem: str, value: object = None) -> InputError:
    """Return the error for a setting that cannot be used."""
    return InputError(f"{field} {problem}.", remedy=REMEDY, field=field, value=value)


def _unique(tokens: list[str]) -> list[str]:
    """Return the tokens. Raises InputError if there are none, or one twice."""
    if not tokens:
        raise malformed(TOKENS, "is missing, so the file holds no tokenizer")
    first: dict[str, int] = {}
    for i, token in enumerate(tokens):
        if first.setdefault(token, i) != i:
            problem = f"gives the ids {first[token]} and {i} to the same token"
            raise malformed(TOKENS, problem, token)
    return tokens


def _texts(fields: Mapping[str, Any], field: str) -> list[str]:
    """Return a list of strings, empty if the field is missing."""
    values = fields.get(field, [])
    if not isinstance(values, list):
        raise malformed(field, f"must be a list, but is a {type(values).__name__}")
    if len(values) > MAX_ID:
        raise malformed(field, f"holds {len(values):,} entries, more than {MAX_ID:,}", len(values))
    for value in values:
        if not isinstance(value, str):
            raise malformed(field, f"must hold strings, but holds a {type(value).__name__}", value)
    _require_utf8(field, "".join(values))
    return values


def _require_utf8(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise malformed(field, "is not valid UTF-8") from None


def _text(fields: Mapping[str, Any], field: str) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise malformed(field, f"must be a string, but is a {type(value).__name__}", value)
    _require_utf8(field, value)
    return value


def _numbers(
    fields: Mapping[str, Any], field: str, n: int, is_valid: Callable[[Any], bool]
) -> list[Any]:
    """Return a list of one number per token, empty if the field is missing."""
    if field not in fields:
        return []
    values = fields[field]
    if not isinstance(values, list) or len(values) != n:
        count = f"{len(values):,}" if isinstance(values, list) else "no list of"
        raise malformed(field, f"holds {count} numbers for {n:,} tokens")
    for i, value in enumerate(values):
        if not is_valid(value):
            raise malformed(f"{field}[{i}]", f"is {str(value)[:40]}", value)
    return values


def _special_ids(fields: Mapping[str, Any], n: int) -> dict[str, int]:
    ids = {}
    for name in SPECIAL_TOKENS:
        field = id_field(name)
        if field not in fields:
            continue
        value = fields[field]
        if type(value) is not int or not 0 <= value < n:
            raise malformed(field, f"is {str(value)[:40]}, but the file has {n:,} tokens", value)
        ids[name] = value
    return ids


def _flags(fields: Mapping[str, Any]) -> dict[str, bool]:
    flags = {}
    for name in FLAGS:
        field = f"tokenizer.ggml.{name}"
        if field in fields:
            if type(fields[field]) is not bool:
                raise malformed(field, "must be true or false", fields[field])
            flags[name] = fields[field]
    return flags


def _charsmap(fields: Mapping[str, Any]) -> bytes:
    """Return the bytes, which a file may hold as signed or unsigned numbers."""
    field = "tokenizer.ggml.precompiled_charsmap"
    values = fields.get(field, [])
    is_list = isinstance(values, list) and len(values) <= MAX_CHARSMAP_BYTES
    if not is_list or not all(type(v) is int and -128 <= v <= 255 for v in values):
        raise malformed(field, f"must hold at most {MAX_CHARSMAP_BYTES:,} bytes")
    return bytes(value & 0xFF for value in values)


def _normalizer(fields: Mapping[str, Any]) -> str | None:
    normalizer = _text(fields, NORMALIZER)
    if normalizer is not None and normalizer not in NORMALIZERS:
        raise malformed(NORMALIZER, f"must be one of {', '.join(NORMALIZERS)}", normalizer)
    return normalizer


def _templates(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the chat templates: "tokenizer.chat_template", and "tokenizer.chat_template.NAME"."""
    templates = {}
    for field in fields:
        if field == TEMPLATE or field.startswith(f"{TEMPLATE}."):
            name = field.removeprefix(TEMPLATE).removeprefix(".") or "default"
            templates[name] = _text(fields, field) or ""
    return templates
