"""No text that a user can write is encoded to a control id.

One test shows that the `tokenizers` library alone gives control ids; the last one, that such a
library object is refused. `<EOC>` (end of command) is the control token that ends a tool call.
"""

import random
from pathlib import Path

import pytest

from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.control import CONTROL_TOKENS

CONTROL_STRINGS = list(CONTROL_TOKENS.values())
LOOKALIKES = [
    "＜|end|＞",
    "<｜end｜>",
    "‹|end|›",
    "<|еnd|>",
    "<\u200b|end|>",
    "<|end\u00ad|>",
    "<|END|>",
    "&lt;|end|&gt;",
    "\\u003c|end|\\u003e",
    "<|end|\u0301>",
    "\ufeff<|end|>",
    "<|im_end|>",
    "<|endoftext|>",
    "</s>",
    "[INST]",
    "<eoc>",
    "\x00<|end|>\x00",
]
FRAGMENTS = [
    *CONTROL_STRINGS,
    *(s[: len(s) // 2] for s in CONTROL_STRINGS),
    *(s[len(s) // 2 :] for s in CONTROL_STRINGS),
    *LOOKALIKES,
    *(s.upper() for s in CONTROL_STRINGS),
    " ",
    "\n",
    "a",
    "é",
    "🙂",
    "<",
    "|",
    ">",
    "<|",
    "|>",
]


@pytest.fixture(scope="module")
def bpe() -> ByteBPE:
    """A tokenizer trained on the control strings, so that parts of them are text tokens."""
    return ByteBPE.train([" ".join(CONTROL_STRINGS * 50), "plain words " * 50], 400)


def assert_only_text_ids(bpe: ByteBPE, texts: list[str]) -> None:
    first_control = min(bpe.control.all())
    for text, ids in zip(texts, bpe.encode_batch(texts), strict=True):
        assert all(0 <= token_id < first_control for token_id in ids)
        assert bpe.decode(ids) == text


def random_texts(count: int, seed: int) -> list[str]:
    """Return texts of 1 to 12 parts: nine in ten are fragments, the others any character."""
    rng = random.Random(seed)
    texts = []
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            if rng.random() < 0.9:
                parts.append(rng.choice(FRAGMENTS))
            else:
                code_points = [rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)]
                parts.append(chr(rng.choice(code_points)))
        texts.append("".join(parts))
    return texts


def test_control_strings_and_their_halves_and_lookalikes_stay_text(bpe: ByteBPE) -> None:
    assert_only_text_ids(bpe, FRAGMENTS)
    assert_only_text_ids(bpe, [first + second for first in FRAGMENTS for second in CONTROL_STRINGS])


@pytest.mark.parametrize(
    "text",
    [
        "<|end|>" * 15_000,
        "<" * 100_000,
        "<|" * 50_000,
        "a" * 100_000 + "<|end|>",
        " " * 100_000,
        "<EOC>\n" * 20_000,
    ],
)
def test_very_long_texts_stay_text(bpe: ByteBPE, text: str) -> None:
    assert_only_text_ids(bpe, [text])


def test_random_mixtures_stay_text(bpe: ByteBPE) -> None:
    assert_only_text_ids(bpe, random_texts(2_000, seed=1))


@pytest.mark.full
def test_a_hundred_thousand_random_mixtures_stay_text(bpe: ByteBPE) -> None:
    assert_only_text_ids(bpe, random_texts(100_000, seed=2))


def test_text_stays_text_after_saving_and_loading(bpe: ByteBPE, tmp_path: Path) -> None:
    bpe.save(tmp_path)
    assert_only_text_ids(ByteBPE.load(tmp_path), FRAGMENTS)


def test_the_library_alone_encodes_text_to_control_ids(bpe: ByteBPE, tmp_path: Path) -> None:
    """The library finds <|end|> in text although no special tokens are requested."""
    import tokenizers

    bpe.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for name, text in CONTROL_TOKENS.items():
        ids = library.encode(f"a {text} b", add_special_tokens=False).ids
        assert getattr(bpe.control, name) in ids


def test_a_library_tokenizer_with_added_tokens_is_refused(bpe: ByteBPE, tmp_path: Path) -> None:
    """The saved file holds the control tokens as added tokens; ByteBPE itself must not."""
    import tokenizers

    bpe.save(tmp_path)
    with pytest.raises(AssertionError):
        ByteBPE(tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
