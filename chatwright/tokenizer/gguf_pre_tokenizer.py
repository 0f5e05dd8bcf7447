"""How a text is split into words before BPE, by llama.cpp's names for these ways.

A GGUF file does not hold the regular expressions that split a text, only a name for them, in
`tokenizer.ggml.pre`. gguf_pre_tokenizers.toml lists the names. It serves reading and writing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chatwright.errors import InputError

TABLE = Path(__file__).with_name("gguf_pre_tokenizers.toml")
FIELD = "tokenizer.ggml.pre"

Step = dict[str, Any]  # a pre-tokenizer as in tokenizer.json


def _byte_level(use_regex: bool) -> Step:
    settings = {"add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
    return {"type": "ByteLevel"} | settings


# Steps of the `tokenizers` library. "words" splits by GPT-2's pattern; "bytes" does not split.
LIBRARY_STEPS: dict[str, Step] = {
    "words": _byte_level(True),
    "bytes": _byte_level(False),
    "digits": {"type": "Digits", "individual_digits": True},
    "digit-runs": {"type": "Digits", "individual_digits": False},
    "punctuation": {"type": "Punctuation", "behavior": "Isolated"},
    "punctuation-runs": {"type": "Punctuation", "behavior": "Contiguous"},
}


@dataclass(frozen=True)
class PreTokenizer:
    """One way to prepare a text for BPE."""

    names: tuple[str, ...]  # llama.cpp's; the first is written on export
    steps: tuple[Step, ...]  # applied in this order
    normalizer: str | None  # "NFC", as in the published tokenizer.json
    ignore_merges: bool  # a word that is in the vocabulary becomes one token without merging
    add_bos: bool  # whether a text begins with <bos> if the file does not say so
    escapes_spaces: bool  # tokens are written as SentencePiece does, not one character per byte


def named(name: str) -> PreTokenizer:
    """Return the pre-tokenizer with this name. Raises InputError if llama.cpp has none."""
    for pre_tokenizer in table():
        if name in pre_tokenizer.names:
            return pre_tokenizer
    known = sorted(known for pre_tokenizer in table() for known in pre_tokenizer.names)
    raise InputError(
        f"The file splits texts into words by the pre-tokenizer {name[:40]!r}, which Chatwright "
        "does not know.",
        remedy=f"Use a file with one of: {', '.join(known)}.",
        field=FIELD,
        value=name,
    )


def name_of(steps: Any, ignore_merges: bool) -> str | None:
    """Return llama.cpp's name for `pre_tokenizer` of a tokenizer.json, or None if it has none.

    llama.cpp does not normalize, so the table's normalizers do not matter here.
    """
    wanted = _simplified(steps)
    for candidate in table():
        is_same = wanted == _simplified({"pretokenizers": candidate.steps})
        if is_same and candidate.ignore_merges == ignore_merges and candidate.steps:
            return candidate.names[0]
    return None


def document_part(steps: Sequence[Step]) -> Step | None:
    """Return the steps as `pre_tokenizer` of a tokenizer.json."""
    if len(steps) > 1:
        return {"type": "Sequence", "pretokenizers": list(steps)}
    return steps[0] if steps else None


@cache
def table() -> tuple[PreTokenizer, ...]:
    """Return all pre-tokenizers, as gguf_pre_tokenizers.toml lists them."""
    listed = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    steps = LIBRARY_STEPS | {name: _split(regex) for name, regex in listed["patterns"].items()}
    return tuple(
        PreTokenizer(
            names=tuple(entry["names"]),
            steps=tuple(steps[step] for step in entry["steps"]),
            normalizer=entry.get("normalizer"),
            ignore_merges=entry.get("ignore_merges", False),
            add_bos=entry.get("add_bos", False),
            escapes_spaces=entry.get("escapes_spaces", False),
        )
        for entry in listed["pre_tokenizers"]
    )


def _split(regex: str) -> Step:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def _simplified(part: Any) -> list[Any]:
    """Return the steps without `trim_offsets`, which does not change ids."""
    steps = part.get("pretokenizers", [part]) if isinstance(part, dict) else []
    return [
        {name: value for name, value in step.items() if name != "trim_offsets"}
        if isinstance(step, dict)
        else step
        for step in steps
    ]
