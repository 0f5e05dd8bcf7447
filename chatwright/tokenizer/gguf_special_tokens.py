"""The parts of tokenizer.json that all kinds of GGUF tokenizers have: its special tokens."""

from __future__ import annotations

from typing import Any

from chatwright.tokenizer.gguf_fields import (
    CONTROL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    GgufVocabulary,
)
from chatwright.tokenizer.tokenizer_json import Document, new_added_token


def document_parts(vocabulary: GgufVocabulary, begin: str = "", end: str = "") -> Document:
    """Return the parts of tokenizer.json around the model.

    Args:
        vocabulary: The file's tokenizer.
        begin: Name of the special token before every text, "" for none.
        end: Name of the special token after every text, "" for none.

    Raises InputError if the file has no such tokens.
    """
    before = [vocabulary.id_of(begin)] if begin else []
    after = [vocabulary.id_of(end)] if end else []
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens(vocabulary),
        "post_processor": _post_processor(vocabulary, before, after),
    }


def added_tokens(vocabulary: GgufVocabulary) -> list[dict[str, Any]]:
    """Return the tokens that are found in a text before it is split."""
    added = []
    for i, (token, kind) in enumerate(zip(vocabulary.tokens, vocabulary.types, strict=True)):
        if kind in (UNKNOWN, CONTROL, UNUSED) and not vocabulary.is_gap(i):
            added.append(new_added_token(i, token, special=True))
        elif kind == USER_DEFINED:
            added.append(new_added_token(i, token, special=False, normalized=False))
    return added


def _post_processor(
    vocabulary: GgufVocabulary, before: list[int], after: list[int]
) -> dict[str, Any] | None:
    """Return the step that puts special tokens around a text, or around a pair of texts."""
    if not before and not after:
        return None
    names = {i: vocabulary.tokens[i] for i in [*before, *after]}

    def special(ids: list[int], type_id: int) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": names[i], "type_id": type_id}} for i in ids]

    first = [*special(before, 0), {"Sequence": {"id": "A", "type_id": 0}}, *special(after, 0)]
    between = [] if vocabulary.model == "bert" else special(before, 1)
    second = [*between, {"Sequence": {"id": "B", "type_id": 1}}, *special(after, 1)]
    return {
        "type": "TemplateProcessing",
        "single": first,
        "pair": [*first, *second],
        "special_tokens": {
            name: {"id": name, "ids": [i], "tokens": [name]} for i, name in names.items()
        },
    }
