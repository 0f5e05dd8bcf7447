"""Overlaps of training and held-out rows equal those of a slow search."""

import random

import pytest

from chatwright.conversation import Message
from chatwright.data.checks.contamination import HeldOutIndex, find_overlaps, remove_overlaps
from chatwright.data.checks.plain_text import words
from chatwright.data.rows import ChatRow, Location, TextRow
from chatwright.errors import InputError


def text_row(text, number=1, file="a"):
    return TextRow(text, Location(file, number))


def numbered(start, stop):
    return " ".join(f"word{i}" for i in range(start, stop))


def test_a_planted_run_of_thirteen_words_is_found():
    train = [
        text_row(f"before {numbered(0, 13)} after", 1),
        text_row(f"before {numbered(0, 12)} after", 2),
    ]
    held_out = [
        text_row("something else entirely", 1, "h"),
        text_row(f"{numbered(0, 13)} and an end", 2, "h"),
    ]
    (overlap,) = find_overlaps(train, held_out)
    assert (overlap.train.number, overlap.held_out.number, overlap.n_words) == (1, 2, 13)


def test_case_and_punctuation_do_not_hide_a_copy():
    held_out = [
        text_row("The quick, brown fox -- it JUMPS; over: the lazy dog. And then it sleeps!")
    ]
    train = [
        text_row('"the quick brown fox it jumps over the lazy dog and then it sleeps" she said')
    ]
    assert len(find_overlaps(train, held_out)) == 1


def test_short_rows_overlap_only_if_all_their_words_are_equal():
    held_out = [text_row("What is the capital of France?")]
    train = [
        text_row("what is the capital of france"),
        text_row("So what is the capital of France then?"),
        text_row(""),
    ]
    assert [overlap.n_words for overlap in find_overlaps(train, held_out)] == [6]


def test_a_shared_system_turn_is_no_overlap():
    def row(question):
        return ChatRow(
            (
                Message("system", numbered(0, 30)),
                Message("user", question),
                Message("assistant", "Yes."),
            ),
            Location("a", 1),
        )

    assert find_overlaps([row("one")], [row("two")]) == []
    assert len(find_overlaps([row(numbered(50, 70))], [row(numbered(50, 70))])) == 1


def test_overlapping_runs_are_counted_once():
    (overlap,) = find_overlaps(
        [text_row(f"x {numbered(0, 20)} y {numbered(5, 18)}")], [text_row(numbered(0, 20))]
    )
    assert overlap.n_words == 20 + 13


def test_rows_without_an_overlap_keep_their_order():
    train = [text_row(numbered(i * 100, i * 100 + 20), i) for i in range(5)]
    clean, overlaps = remove_overlaps(
        train, [text_row(numbered(200, 220)), text_row(numbered(400, 415))]
    )
    assert [row.location.number for row in clean] == [0, 1, 3]
    assert [overlap.train.number for overlap in overlaps] == [2, 4]


def test_without_held_out_rows_there_is_no_overlap():
    assert find_overlaps([text_row(numbered(0, 50))], []) == []
    assert find_overlaps([text_row(numbered(0, 50))], [text_row("short")]) == []
    assert find_overlaps([text_row("zz " * 50)], [text_row(numbered(0, 50))]) == []


@pytest.mark.parametrize("n_words", [2, 3, 5])
def test_the_fast_search_finds_what_a_slow_search_finds(n_words):
    draw = random.Random(n_words)
    rows = [
        text_row(" ".join(draw.choices("abcdefgh", k=draw.randint(0, 12))), i) for i in range(300)
    ]
    train, held_out = rows[:200], rows[200:]

    def runs(row):
        row_words = words(row)
        if len(row_words) < n_words:
            return {tuple(row_words)} - {()}
        return {tuple(row_words[i : i + n_words]) for i in range(len(row_words) - n_words + 1)}

    known = set().union(*map(runs, held_out))
    expected = [row.location for row in train if runs(row) & known]
    overlaps = find_overlaps(train, held_out, n_words)
    assert [overlap.train for overlap in overlaps] == expected
    assert 0 < len(overlaps) < 200
    assert all(
        runs(train[overlap.train.number]) & runs(rows[overlap.held_out.number])
        for overlap in overlaps
    )


def test_runs_of_one_word_are_refused():
    with pytest.raises(InputError) as caught:
        HeldOutIndex([], 1)
    assert (caught.value.field, caught.value.value) == ("n_words", 1)
