"""Planted exact and near-duplicates are found, and other rows stay."""

import random

import pytest

from chatwright.conversation import Message
from chatwright.data.checks.deduplication import deduplicate, minhash, shingle_hashes
from chatwright.data.rows import ChatRow, Location, TextRow
from chatwright.errors import InputError
from chatwright.tokenizer.tool_call_text import message_from_turn


def text_rows(*texts):
    return [TextRow(text, Location("a", number)) for number, text in enumerate(texts, start=1)]


def random_words(draw, count):
    return [f"w{draw.randrange(5000)}" for _ in range(count)]


def test_rows_that_differ_in_case_and_white_space_are_exact_duplicates():
    result = deduplicate(text_rows("One two", "three", "one\n  TWO ", "three", "one two!"))
    assert [row.location.number for row in result.rows] == [1, 2, 5]
    assert [(d.location.number, d.of.number, d.is_exact) for d in result.duplicates] == [
        (3, 1, True),
        (4, 2, True),
    ]
    assert (result.n_exact, result.n_near) == (2, 0)


def test_unicode_forms_of_one_text_are_exact_duplicates():
    assert deduplicate(text_rows("caf\u00e9", "cafe\u0301")).n_exact == 1


def test_rows_with_the_same_words_in_another_role_are_not_duplicates():
    def chat(*turns):
        return ChatRow(
            tuple(message_from_turn(role, content) for role, content in turns), Location("a", 1)
        )

    same = chat(("user", "a"), ("assistant", "b"))
    other = chat(("user", "a"), ("command", "b"))
    longer = chat(("user", "a"), ("assistant", "b"), ("user", "c"))
    text = TextRow("user: a\nassistant: b", Location("a", 1))
    assert deduplicate([same, other, longer, text, same]).n_exact == 1


def test_near_duplicates_are_found_and_different_rows_stay():
    draw = random.Random(0)
    originals = [random_words(draw, 200) for _ in range(20)]
    copies = [[*original[:90], "changed", *original[91:]] for original in originals]
    rows = text_rows(*(" ".join(row) for row in originals + copies))
    result = deduplicate(rows, near=0.8)
    assert [row.location.number for row in result.rows] == list(range(1, 21))
    assert [(d.location.number, d.of.number) for d in result.duplicates] == [
        (i + 20, i) for i in range(1, 21)
    ]
    assert result.n_near == 20
    assert deduplicate(rows).duplicates == []  # without `near`, all rows stay


def test_a_copy_of_a_near_duplicate_is_reported_as_copy_of_the_row_that_stays():
    text = " ".join(random_words(random.Random(1), 200))
    result = deduplicate(text_rows(text, text + " end", text + " end"), near=0.8)
    assert [(d.location.number, d.of.number, d.is_exact) for d in result.duplicates] == [
        (2, 1, False),
        (3, 1, True),
    ]


def test_very_short_rows_are_never_near_duplicates():
    assert deduplicate(text_rows("yes", "yes please", "no"), near=0.5).duplicates == []


def test_rows_of_different_kinds_are_not_near_duplicates():
    content = " ".join(random_words(random.Random(3), 100))
    chat = ChatRow((Message("user", content), Message("assistant", "ok")), Location("a", 2))
    assert deduplicate([*text_rows(content), chat], near=0.5).duplicates == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_equal_signature_values_estimate_the_share_of_common_runs(share):
    draw = random.Random(2)
    common = random_words(draw, int(3000 * share))
    first = shingle_hashes(common + random_words(draw, 3000 - len(common)))
    second = shingle_hashes(common + random_words(draw, 3000 - len(common)))
    truth = len(set(first.tolist()) & set(second.tolist())) / len(
        set(first.tolist()) | set(second.tolist())
    )
    estimate = float((minhash(first) == minhash(second)).mean())
    assert abs(estimate - truth) < 0.12  # 3 standard errors of 128 values at worst


def test_the_signature_does_not_depend_on_the_order_of_shingles():
    hashes = shingle_hashes([f"w{i}" for i in range(10_000)])
    assert (minhash(hashes) == minhash(hashes[::-1])).all()


def test_two_runs_find_the_same_duplicates():
    draw = random.Random(4)
    rows = text_rows(*(" ".join(random_words(draw, 5)) for _ in range(100)))
    assert deduplicate(rows, near=0.3) == deduplicate(iter(rows), near=0.3)


@pytest.mark.parametrize("near", [0, -1, 1.1])
def test_a_threshold_outside_0_and_1_is_refused(near):
    with pytest.raises(InputError) as caught:
        deduplicate([], near)
    assert (caught.value.field, caught.value.value) == ("near", near)
