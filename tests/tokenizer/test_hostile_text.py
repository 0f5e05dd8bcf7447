"""No text a person can write becomes a control id. The library alone would let it: the positive control shows that."""

import random

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
    # Trained on the control strings themselves, the worst case: their pieces are whole text tokens.
    return ByteBPE.train([" ".join(CONTROL_STRINGS * 50), "plain words " * 50], 400)


def assert_only_text_ids(bpe: ByteBPE, texts: list[str]) -> None:
    first_control = min(bpe.control.all())
    for text, ids in zip(texts, bpe.encode_batch(texts), strict=True):
        assert all(0 <= token_id < first_control for token_id in ids)
        assert bpe.decode(ids) == text


def random_texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        parts = [
            draw.choice(FRAGMENTS)
            if draw.random() < 0.9
            else chr(draw.choice([draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)]))
            for _ in range(draw.randint(1, 12))
        ]
        texts.append("".join(parts))
    return texts


def test_control_strings_halves_and_lookalikes_stay_text(bpe):
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
def test_very_long_texts_stay_text(bpe, text):
    assert_only_text_ids(bpe, [text])


def test_random_mixtures_stay_text(bpe):
    assert_only_text_ids(bpe, random_texts(2_000, seed=1))


@pytest.mark.full
def test_a_hundred_thousand_random_mixtures_stay_text(bpe):
    assert_only_text_ids(bpe, random_texts(100_000, seed=2))


def test_the_saved_directory_loaded_again_is_as_deaf(bpe, tmp_path):
    bpe.save(tmp_path)
    assert_only_text_ids(ByteBPE.load(tmp_path), FRAGMENTS)


def test_the_library_without_stripping_does_give_a_control_id(bpe, tmp_path):
    """Positive control: the same file opened directly turns typed text into <|end|>, though special tokens are off."""
    import tokenizers

    bpe.save(tmp_path)
    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for name, text in CONTROL_TOKENS.items():
        assert (
            getattr(bpe.control, name)
            in library.encode(f"a {text} b", add_special_tokens=False).ids
        )


def test_an_unstripped_library_is_refused(bpe, tmp_path):
    import tokenizers

    bpe.save(tmp_path)
    with pytest.raises(AssertionError, match="must not know added tokens"):
        ByteBPE(tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
