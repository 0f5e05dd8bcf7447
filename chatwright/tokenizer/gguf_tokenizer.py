"""Convert the tokenizer of a GGUF file to the files of a Hugging Face directory.

A GGUF file holds tokens with types and scores or merges, and names how texts are split. These
kinds are read, by `tokenizer.ggml.model`:

    gpt2    byte-level BPE with merges; `tokenizer.ggml.pre` names the pre-tokenizer
    gemma4  BPE with merges over whole texts, spaces as "▁" and bytes as "<0x0A>"
    llama   SentencePiece's BPE, which merges by scores
    t5      SentencePiece's Unigram
    bert    WordPiece; words begin with "▁", and continuations have no mark

llama.cpp's code approximates some of the published tokenizers. The documents made here follow the
published ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer import (
    gguf_bpe,
    gguf_fields,
    gguf_sentencepiece,
    gguf_word_piece,
    hugging_face,
)
from chatwright.tokenizer.gguf_fields import UNKNOWN, GgufVocabulary, malformed
from chatwright.tokenizer.tokenizer_json import Document

BUILDERS: dict[str, Callable[[GgufVocabulary], Document]] = {
    "gpt2": gguf_bpe.byte_level,
    "gemma4": gguf_bpe.spaced,
    "llama": gguf_sentencepiece.bpe,
    "t5": gguf_sentencepiece.unigram,
    "bert": gguf_word_piece.document,
}
# Special tokens that llama.cpp takes for granted if the file does not name them.
DEFAULT_IDS = {
    "llama": {"bos": 1, "eos": 2, "unk": 0},
    "t5": {"pad": 0, "eos": 1, "unk": 2},
}
BERT_TOKENS = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"}


def tokenizer_files(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files of a Hugging Face directory, by name, as JSON values.

    Args:
        fields: The settings of a GGUF file, by their full names.

    Raises InputError if the tokenizer is malformed, or of a kind that is not known.
    """
    vocabulary = gguf_fields.read(fields)
    build = BUILDERS.get(vocabulary.model)
    if build is None:
        raise InputError(
            f"The file's tokenizer is of the kind {vocabulary.model[:40]!r}, which Chatwright does "
            "not read.",
            remedy=f"Use a file with one of: {', '.join(BUILDERS)}.",
            field=gguf_fields.MODEL,
            value=vocabulary.model,
        )
    vocabulary = replace(vocabulary, ids=_special_ids(vocabulary))
    return {
        "tokenizer.json": build(vocabulary),
        "tokenizer_config.json": _settings(vocabulary),
    }


def _special_ids(vocabulary: GgufVocabulary) -> dict[str, int]:
    """Return the ids of the special tokens by name, llama.cpp's defaults included."""
    for name, i in vocabulary.ids.items():
        if vocabulary.is_gap(i):
            field = gguf_fields.id_field(name)
            raise malformed(field, f"is {i}, an id without a token", i)
    if vocabulary.model == "bert":
        return _bert_ids(vocabulary)
    n = len(vocabulary.tokens)
    defaults = DEFAULT_IDS.get(vocabulary.model, {})
    ids = {name: i for name, i in defaults.items() if i < n and not vocabulary.is_gap(i)}
    if UNKNOWN in vocabulary.types:
        ids["unk"] = vocabulary.types.index(UNKNOWN)
    return ids | dict(vocabulary.ids)


def _bert_ids(vocabulary: GgufVocabulary) -> dict[str, int]:
    """Return BERT's special tokens. Most files call [CLS] "bos"."""
    known = {token: i for i, token in enumerate(vocabulary.tokens)}
    ids = {name: known[token] for name, token in BERT_TOKENS.items() if token in known}
    stored = dict(vocabulary.ids)
    if "bos" in stored:
        stored.setdefault("cls", stored.pop("bos"))
    return ids | stored


def _settings(vocabulary: GgufVocabulary) -> dict[str, Any]:
    """Return tokenizer_config.json."""
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,  # other tools would rewrite "a ." to "a."
    }
    settings |= {f"{name}_token": vocabulary.tokens[i] for name, i in vocabulary.ids.items()}
    templates = vocabulary.templates
    if templates.keys() == {"default"}:
        settings["chat_template"] = templates["default"]
        if templates["default"] == hugging_face.CHAT_TEMPLATE_WITH_SPACE:
            # The space is the tokenizer's again.
            settings["chat_template"] = hugging_face.CHAT_TEMPLATE_JINJA
    elif templates:
        settings["chat_template"] = [
            {"name": name, "template": template} for name, template in templates.items()
        ]
    return settings
