"""Feedback on replies, and the pairs and conversations that it states."""

from datetime import UTC, datetime
from itertools import combinations

import pytest

from chatwright.conversation import Message
from chatwright.data.preferences import (
    Correction,
    Ranking,
    RatedReply,
    Thumb,
    correction_conversation,
    preference_rows,
)
from chatwright.errors import InputError

PROMPT = (Message("user", "Name a color."),)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def reply(text: str) -> RatedReply:
    return RatedReply(Message("assistant", text), "00ff")


def ranking(ranks: tuple[int, ...]) -> Ranking:
    replies = tuple(reply(f"Reply {index}") for index in range(len(ranks)))
    return Ranking(prompt=PROMPT, rater="ann", time=NOON, replies=replies, ranks=ranks)


@pytest.mark.parametrize("ranks", [(1, 2), (2, 1), (3, 1, 2, 3), (1, 1, 2), (4, 4, 4)])
def test_a_ranking_states_every_pair_of_different_ranks(ranks: tuple[int, ...]) -> None:
    expected = set()
    for a, b in combinations(range(len(ranks)), 2):
        if ranks[a] != ranks[b]:
            expected.add((a, b) if ranks[a] < ranks[b] else (b, a))
    assert set(ranking(ranks).pairs()) == expected
    rows = preference_rows(ranking(ranks))
    stated = {(row.chosen[0].text, row.rejected[0].text) for row in rows}
    assert stated == {(f"Reply {a}", f"Reply {b}") for a, b in expected}
    assert ranking(ranks).is_tie == (not expected)


def test_a_correction_is_a_pair_and_a_conversation() -> None:
    better = Message("assistant", "Blue.")
    correction = Correction(
        prompt=PROMPT, rater="ann", time=NOON, reply=reply("Dog."), better=better
    )
    (pair,) = preference_rows(correction)
    assert (pair.prompt, pair.chosen) == (PROMPT, (better,))
    assert pair.rejected[0].text == "Dog."
    conversation = correction_conversation(correction)
    assert conversation.messages == (*PROMPT, better)
    assert conversation.learned == (False, True)


def test_a_thumb_states_no_pair() -> None:
    thumb = Thumb(prompt=PROMPT, rater="ann", time=NOON, reply=reply("Blue."), is_up=True)
    assert preference_rows(thumb) == []


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("prompt", {"prompt": ()}),
        ("rater", {"rater": ""}),
        ("time", {"time": datetime(2026, 1, 1)}),
        ("replies", {"replies": (reply("one"),), "ranks": (1,)}),
        ("ranks", {"ranks": (1,)}),
        ("ranks", {"ranks": (0, 1)}),
        ("right_ranks", {"right_ranks": (1,)}),
        ("right_ranks", {"right_ranks": (0, 1)}),
    ],
)
def test_impossible_feedback_is_refused_by_field(field: str, changes: dict[str, object]) -> None:
    fields = {"prompt": PROMPT, "rater": "ann", "time": NOON}
    fields |= {"replies": (reply("one"), reply("two")), "ranks": (1, 2)}
    with pytest.raises(InputError) as caught:
        Ranking(**(fields | changes))
    assert caught.value.field == field
