"""Write a tokenizer as the metadata of a GGUF file, llama.cpp's file format.

llama.cpp does not read tokenizer.json. It has its own code for each known way to split a text into
words before BPE. A tokenizer that splits otherwise cannot be exported. Two kinds are supported:
byte-level BPE, and SentencePiece's BPE with bytes for unknown characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import gguf_pre_tokenizer, hugging_face, tokenizer_json
from chatwright.tokenizer.embedded_tokens import without_unembedded_tokens
from chatwright.tokenizer.gguf_fields import (
    BYTE,
    CONTROL,
    NORMAL,
    NORMALIZER,
    SPACE_BEFORE,
    SPECIAL_TOKENS,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
)
from chatwright.tokenizer.imported_files import TokenizerFiles
from chatwright.tokenizer.imported_vocabulary import first_special_token
from chatwright.tokenizer.token_bytes import BYTE_TOKEN, WORD_START
from chatwright.tokenizer.tokenizer_json import Document

REMEDY = "For other tools, export with: --format hf"
NFC = {"type": "NFC"}


def metadata(
    files: TokenizerFiles, vocab_size: int, public_ids: Mapping[str, int]
) -> dict[str, Any]:
    """Return the GGUF keys that begin with "tokenizer.".

    Args:
        files: The tokenizer.
        vocab_size: The model's vocabulary size.
        public_ids: The special tokens as in config.json: bos_token_id, eos_token_id, pad_token_id.

    Raises InputError if llama.cpp cannot tokenize texts in the same way.
    """
    files = without_unembedded_tokens(files, vocab_size)
    model = files.document["model"]
    if model.get("type") != "BPE":
        raise _unsupported(f"llama.cpp's decoder models use BPE, not {model.get('type')}")
    tokens, types = _tokens(files, vocab_size)
    if model.get("byte_fallback"):
        keys = _sentencepiece(files, tokens, types)
    else:
        keys = _byte_level(files.document)
    keys |= _special_tokens(files, tokens, public_ids)
    if template := _chat_template(files):
        keys["chat_template"] = template
    prefixed = {f"tokenizer.{key}": value for key, value in keys.items()}
    return prefixed | {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}


def encode_as_llama_cpp(text: str, metadata: Mapping[str, Any]) -> list[int]:
    """Encode a text as llama.cpp does with SentencePiece metadata, slowly.

    User-defined tokens are found first, the longest before others. Of all neighbors that together
    make a token, the pair with the highest score is merged first, and the leftmost of equals. The
    GGUF export compares the result with the tokenizer's own ids.
    """
    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    ids = {token: i for i, token in enumerate(tokens)}
    kinds = zip(tokens, types, strict=True)
    words = {token for token, kind in kinds if kind == USER_DEFINED and token in text}
    encoded: list[int] = []
    for part in _split_at_words(text, words):
        encoded += [ids[part]] if part in words else _merge_by_scores(part, ids, metadata)
    return encoded


def _split_at_words(text: str, words: set[str]) -> list[str]:
    parts = [text]
    for word in sorted(words, key=len, reverse=True):
        pattern = re.compile(f"({re.escape(word)})")
        found: list[str] = []
        for part in parts:
            found += [part] if part in words else filter(None, pattern.split(part))
        parts = found
    return parts


def _merge_by_scores(text: str, ids: Mapping[str, int], metadata: Mapping[str, Any]) -> list[int]:
    scores = metadata["tokenizer.ggml.scores"]
    parts = list(text)
    while True:
        pairs = [
            (scores[ids[a + b]], -i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ids
        ]
        if not pairs:
            break
        index = -max(pairs)[1]
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    token_ids = []
    for part in parts:
        if part in ids:
            token_ids.append(ids[part])
        else:
            token_ids += [ids[f"<0x{byte:02X}>"] for byte in part.encode()]
    return token_ids


def _tokens(files: TokenizerFiles, vocab_size: int) -> tuple[list[str], list[int]]:
    """Return every token and its type. Ids without a token become unused "[PAD...]" tokens."""
    tokens = [f"[PAD{i}]" for i in range(vocab_size)]
    types = [UNUSED] * vocab_size
    for token, token_id in tokenizer_json.vocabulary_ids(files.document).items():
        tokens[token_id] = token
        types[token_id] = NORMAL
    for added in tokenizer_json.added_tokens(files.document):
        tokens[added["id"]] = added["content"]
        types[added["id"]] = _type_of(added, files.special_tokens.get("unk"))
    if len(set(tokens)) < len(tokens):
        raise _unsupported("a token has the name of an unused id, such as [PAD7]")
    return tokens, types


def _type_of(added: dict[str, Any], unknown: str | None) -> int:
    if added["content"] == unknown:
        return UNKNOWN
    # llama.cpp looks for user-defined tokens before it writes spaces as "▁".
    if WORD_START in added["content"] and not added.get("special"):
        return NORMAL
    return CONTROL if added.get("special") else USER_DEFINED


def _special_tokens(
    files: TokenizerFiles, tokens: list[str], public_ids: Mapping[str, int]
) -> dict[str, Any]:
    keys: dict[str, Any] = {
        f"ggml.{SPECIAL_TOKENS[name]}_token_id": public_ids[f"{name}_token_id"]
        for name in ("bos", "eos", "pad")
        if f"{name}_token_id" in public_ids
    }
    if "unk" in files.special_tokens:
        keys["ggml.unknown_token_id"] = tokens.index(files.special_tokens["unk"])
    ids = {token: i for i, token in enumerate(tokens)}
    first = first_special_token(files.document, ids)
    begins_with_bos = first is not None and first == public_ids.get("bos_token_id")
    is_own = files.chat_template == hugging_face.CHAT_TEMPLATE_JINJA  # our texts begin with <bos>
    keys["ggml.add_bos_token"] = begins_with_bos or is_own
    keys["ggml.add_eos_token"] = False
    return keys


def has_space_before(document: Document) -> bool:
    """Return whether the tokenizer puts a space before every text, as `space_before` does.

    llama.cpp does so only with SentencePiece vocabularies. For others, the chat template holds the
    space.
    """
    return bool(document.get("normalizer") == hugging_face.PREPEND_PREFIX)


def _chat_template(files: TokenizerFiles) -> str:
    """Return the chat template, with the space before every text if the tokenizer puts it there."""
    template = files.chat_template
    if not template or not has_space_before(files.document):
        return template
    if template != hugging_face.CHAT_TEMPLATE_JINJA:
        raise _unsupported(
            "llama.cpp puts no space before a text, and this chat template does not either"
        )
    return hugging_face.CHAT_TEMPLATE_WITH_SPACE


def _byte_level(document: Document) -> dict[str, Any]:
    normalizer = document.get("normalizer")
    if normalizer not in (None, NFC, hugging_face.PREPEND_PREFIX):
        raise _unsupported(f"llama.cpp has no {normalizer.get('type')} normalizer")
    names = {None: "none", "NFC": "NFC", "Prepend": SPACE_BEFORE}
    model = document["model"]
    name = gguf_pre_tokenizer.name_of(
        document.get("pre_tokenizer"), bool(model.get("ignore_merges"))
    )
    if name is None:
        raise _unsupported("llama.cpp has no such pre-tokenizer")
    return {
        "ggml.model": "gpt2",
        "ggml.pre": name,
        "ggml.merges": [_merge(pair) for pair in model["merges"]],
        NORMALIZER.removeprefix("tokenizer."): names[normalizer and normalizer["type"]],
    }


def _merge(pair: Any) -> str:
    return pair if isinstance(pair, str) else " ".join(pair)


def _sentencepiece(files: TokenizerFiles, tokens: list[str], types: list[int]) -> dict[str, Any]:
    """Return the keys of a SentencePiece vocabulary, and set the type of its byte tokens.

    SentencePiece has no list of merges. Of two possible merges, llama.cpp applies the one whose
    result has the higher score first, so the rank of a merge becomes its score.
    """
    add_dummy_prefix, remove_extra_whitespaces = _space_settings(files)
    if files.sentencepiece is not None:
        score_of = {piece.text: piece.score for piece in files.sentencepiece.pieces}
    else:
        score_of = {}
        for rank, pair in enumerate(files.document["model"]["merges"]):
            merged = pair.replace(" ", "", 1) if isinstance(pair, str) else "".join(pair)
            score_of.setdefault(merged, -float(rank))
    lowest = -float(len(tokens))
    for i, token in enumerate(tokens):
        if types[i] == NORMAL and BYTE_TOKEN.fullmatch(token):
            types[i] = BYTE
    return {
        "ggml.model": "llama",
        "ggml.pre": "default",
        "ggml.scores": [score_of.get(token, lowest) for token in tokens],
        "ggml.add_space_prefix": add_dummy_prefix,
        "ggml.remove_extra_whitespaces": remove_extra_whitespaces,
    }


def _space_settings(files: TokenizerFiles) -> tuple[bool, bool]:
    """Return whether every text gets a space before it, and whether runs of spaces become one."""
    sentencepiece = files.sentencepiece
    if sentencepiece is not None and not sentencepiece.precompiled_charsmap:
        return sentencepiece.add_dummy_prefix, sentencepiece.remove_extra_whitespaces
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": WORD_START}
    prepend = {"type": "Prepend", "prepend": WORD_START}
    normalizer = files.document.get("normalizer")
    pre_tokenizer = files.document.get("pre_tokenizer")
    has_pre_tokenizer = pre_tokenizer is not None
    # Gemma's pre-tokenizer splits at spaces, but its normalizer leaves none.
    splits_nothing = isinstance(pre_tokenizer, dict) and pre_tokenizer.get("pattern") == {
        "String": " "
    }
    if sentencepiece is None and (not has_pre_tokenizer or splits_nothing):
        match normalizer:
            case {"type": "Replace"} if normalizer == replace:
                return False, False
            case {"type": "Sequence", "normalizers": [*steps]}:
                if steps in ([prepend, replace], [replace]):
                    return prepend in steps, False
    raise _unsupported("llama.cpp has no such normalizer")


def _unsupported(reason: str) -> InputError:
    return InputError(
        f"The tokenizer cannot be written as GGUF: {reason}.", remedy=REMEDY, field="tokenizer"
    )
