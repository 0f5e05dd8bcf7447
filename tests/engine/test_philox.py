"""Philox equals the published test vectors (kat_vectors of Random123); its numbers are uniform."""

import pytest

from chatwright.engine.messages import MAX_SEED
from chatwright.engine.philox import philox4x32, uniform

KNOWN_ANSWERS = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_random_words_equal_the_published_vectors(counter: str, key: str, answer: str) -> None:
    assert philox4x32(words(counter), words(key)) == words(answer)  # type: ignore[arg-type]


def test_a_uniform_number_has_27_bits_of_the_first_word_and_26_of_the_second() -> None:
    # Seed 0 and position 0 give the first vector.
    assert uniform(0, 0) == (0x6627E8D5 >> 5) * 2**26 / 2**53 + (0xE169C58D >> 6) / 2**53


def test_numbers_differ_by_seed_position_and_sample_and_are_uniform() -> None:
    numbers = [
        uniform(seed, position, sample)
        for seed in (0, 1, 2**40, MAX_SEED)
        for position in range(500)
        for sample in (0, 1)
    ]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= u < 1 for u in numbers)
    tenths = [sum(int(u * 10) == tenth for u in numbers) for tenth in range(10)]
    # 400 are expected in each tenth, with a standard deviation of 19. The limit is five times that.
    assert all(abs(count - 400) < 95 for count in tenths)


def test_a_negative_seed_equals_the_unsigned_number_of_the_same_bits() -> None:
    assert uniform(-1, 3) == uniform(MAX_SEED, 3)
