"""Repeated and contradicting preferences."""

import pytest

from chatwright.conversation import Message
from chatwright.data.rows import DataError, Location, PreferenceRow, ThumbRow
from chatwright.data.settled_votes import settle_pairs, settle_thumbs


def pair(prompt: str, chosen: str, rejected: str, number: int = 1) -> PreferenceRow:
    return PreferenceRow(
        (Message("user", prompt),),
        (Message("assistant", chosen),),
        (Message("assistant", rejected),),
        Location("rows.jsonl", number),
    )


def thumb(reply: str, is_good: bool) -> ThumbRow:
    prompt = (Message("user", "p"),)
    return ThumbRow(prompt, (Message("assistant", reply),), is_good, Location("rows.jsonl"))


def test_pairs_without_repetition_stay_as_they_are() -> None:
    rows = [pair("p", "a", "b"), pair("p", "b", "c"), pair("q", "b", "a")]
    settled = settle_pairs(rows)
    assert settled.rows == rows
    assert (settled.n_duplicate, settled.n_contradicting) == (0, 0)


def test_a_repeated_pair_counts_once_and_keeps_its_first_location() -> None:
    settled = settle_pairs([pair("p", "a", "b", 1), pair("q", "a", "b", 2), pair("p", "a", "b", 3)])
    assert [row.location.number for row in settled.rows] == [1, 2]
    assert settled.n_duplicate == 1


@pytest.mark.parametrize("order", ["aab", "aba", "baa"])
def test_the_majority_decides_a_contradicted_pair(order: str) -> None:
    rows = [pair("p", *(("a", "b") if winner == "a" else ("b", "a"))) for winner in order]
    settled = settle_pairs(rows)
    assert settled.rows == [pair("p", "a", "b")]
    assert settled.n_contradicting == 1


def test_an_undecided_pair_is_left_out() -> None:
    settled = settle_pairs([pair("p", "a", "b"), pair("p", "b", "a"), pair("q", "a", "b")])
    assert settled.rows == [pair("q", "a", "b")]
    assert settled.n_contradicting == 1


def test_ratings_of_one_reply_are_settled_too() -> None:
    rows = [thumb("a", True), thumb("a", True), thumb("a", False), thumb("b", False)]
    settled = settle_thumbs(rows)
    assert settled.rows == [thumb("a", True), thumb("b", False)]
    assert (settled.n_duplicate, settled.n_contradicting) == (1, 1)


def test_only_contradicted_pairs_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        settle_pairs([pair("p", "a", "b"), pair("p", "b", "a")])
    assert caught.value.field == "data"
