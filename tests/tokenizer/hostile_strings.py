"""Generate strings that tokenizers disagree about."""

import functools
import random
import unicodedata
from collections.abc import Callable, Sequence

from tests.tokenizer.example_tokenizers import PIECES

SPACES = [" ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\xa0", "\u1680", "\u180e"]
SPACES += ["\u2003", "\u2028", "\u2029", "\u200b", "\u202f", "\u205f", "\u3000", "\ufeff"]
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'n", "'x", "''", "'"]
MARKS = ["\u0301", "\u0308", "\u0327", "\u093c", "\u0e31", "\u3099", "\u20dd", "\ufe0f"]
EMOJI = ["🙂", "👍🏽", "👩\u200d🚀", "🏳️\u200d🌈", "🇩🇪", "1️⃣", "🫠", "❤️"]
EDGES = ["\ud7ff", "\ue000", "\ufffd", "\uffff", "\ufffe", "\U00010000", "\U0010ffff", "\x00"]
EDGES += ["\x7f", "\x80", "\x1b[0m", "\u202e", "\u2066", "\U000e0041"]
DIGITS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "½²Ⅷ①౹", "𝟎𝟏𝟐𝟑"]
SYNTAX = [
    "▁",
    "Ġ",
    "Ċ",
    "##",
    "##ing",
    "<0x0A>",
    "<0x",
    "</w>",
    "[UNK]",
    "[PAD7]",
    "<unk>",
    "[",
    "]",
]
FIXED = ["", " ", "  lead", "trail  ", "\n", "a" * 300, "ab " * 100, " " * 100, "\n" * 40, "1" * 50]


@functools.cache
def _characters_by_category() -> list[list[str]]:
    """Return all characters in one list per Unicode category, without surrogates."""
    categories: dict[str, list[str]] = {}
    for code_point in range(0x110000):
        character = chr(code_point)
        category = unicodedata.category(character)
        if category != "Cs":
            categories.setdefault(category, []).append(character)
    return [categories[name] for name in sorted(categories)]


def _any_category(rng: random.Random) -> str:
    return "".join(
        rng.choice(rng.choice(_characters_by_category())) for _ in range(rng.randint(1, 4))
    )


def _spaces(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(SPACES[:5]) * rng.randint(1, 20)
    return "".join(rng.choice(SPACES) for _ in range(rng.randint(1, 5)))


def _digits(rng: random.Random) -> str:
    return "".join(
        rng.choice(rng.choice(DIGITS[:1] * 6 + DIGITS)) for _ in range(rng.randint(1, 9))
    )


def _contraction(rng: random.Random) -> str:
    text = rng.choice(["", "we", "He", "IT", " they", "é"]) + rng.choice(CONTRACTIONS)
    text = "".join(c.upper() if rng.random() < 0.3 else c for c in text)
    return text.replace("'", "’") if rng.random() < 0.1 else text.replace("S", rng.choice("Sſ"))


def _marks(rng: random.Random) -> str:
    base = rng.choice(["e", "A", "ñ", "が", "क", "ก", " ", "1", "😀"])
    return base + "".join(rng.choice(MARKS) for _ in range(rng.randint(1, 3)))


def _from(choices: Sequence[str]) -> Callable[[random.Random], str]:
    def part(rng: random.Random) -> str:
        return "".join(rng.choice(choices) for _ in range(rng.randint(1, 3)))

    return part


def hostile_strings(count: int, markers: Sequence[str] = (), seed: int = 0) -> list[str]:
    """Return FIXED, and random mixtures of everything above and of `markers`."""
    rng = random.Random(seed)
    words = [piece for piece in PIECES if piece.strip()]
    parts = [_any_category, _spaces, _digits, _contraction, _marks]
    parts += [_from(words), _from(words), _from(EMOJI), _from(EDGES), _from(SYNTAX)]
    texts = [*FIXED, *markers, *(f"a{marker} b" for marker in markers)]
    while len(texts) < count:
        chosen = [rng.choice(parts)(rng) for _ in range(rng.randint(1, 8))]
        if markers and rng.random() < 0.05:
            chosen.insert(rng.randint(0, len(chosen)), rng.choice(markers))
        texts.append(rng.choice(["", "", " "]).join(chosen))
    return texts[:count]
