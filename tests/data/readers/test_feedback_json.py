"""Feedback written as JSON is read as it was, and becomes the rows that it states."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatwright.conversation import Message, Text, Thinking, ToolCall, ToolResult
from chatwright.data.preferences import Correction, Feedback, Ranking, RatedReply, Thumb
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.feedback_json import feedback_from_json, feedback_to_json
from chatwright.data.readers.row_reader import read_kind, read_rows
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    DataError,
    Location,
    PreferenceRow,
    RankedRow,
    Row,
    ThumbRow,
)
from chatwright.errors import InputError

LOCATION = Location("a.jsonl", 7)
TIME = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
CALL = ToolCall("call_1", "fetch", {"city": "Köln", "days": [1, 2]})
PROMPT = (
    Message("system", "Be brief."),
    Message("user", "  Weather?\n"),
    Message("assistant", (Thinking("a tool"), CALL)),
    Message("tool", (ToolResult("call_1", ""),)),
)


def reply(text: str) -> RatedReply:
    return RatedReply(Message("assistant", text), "00ff")


def rating(**changes: object) -> dict[str, Any]:
    return {"prompt": PROMPT, "rater": "ann", "time": TIME, **changes}


RANKING = Ranking(**rating(), replies=(reply("b "), reply(""), reply("c")), ranks=(1, 3, 1))
THUMB = Thumb(**rating(is_simulated=True), reply=reply("b"), is_up=False)
CORRECTION = Correction(**rating(reason="ü"), reply=reply("b"), better=Message("assistant", "d"))
GOLD = Ranking(
    **rating(), replies=(reply("b"), reply("c")), ranks=(1, 1), right_ranks=(1, 2), are_all_bad=True
)


@pytest.mark.parametrize("feedback", [RANKING, THUMB, CORRECTION, GOLD])
def test_feedback_is_read_as_it_was_written(feedback: Feedback) -> None:
    line = json.dumps(feedback_to_json(feedback))
    read = feedback_from_json(json.loads(line), LOCATION)
    assert read == feedback
    assert read.location == LOCATION


def test_a_thinking_reply_and_a_text_before_a_tool_call_are_kept() -> None:
    thought = Message("assistant", (Thinking("hm"), Text("b")))
    called = Message("assistant", (Text("I look."), CALL))
    ranking = Ranking(**rating(), replies=(RatedReply(thought), RatedReply(called)), ranks=(2, 1))
    assert feedback_from_json(feedback_to_json(ranking), LOCATION) == ranking


BROKEN = {
    "no rater": ({"rater": None}, "rater"),
    "time without zone": ({"time": "2026-01-31T12:00:00"}, "time"),
    "no time": ({"time": "noon"}, "time"),
    "prompt not list": ({"prompt": "a"}, "prompt"),
    "empty prompt": ({"prompt": []}, "prompt"),
    "role": ({"prompt": [{"role": "robot", "content": "a"}]}, "prompt[0].role"),
    "content": ({"prompt": [{"role": "user"}]}, "prompt[0].content"),
    "one reply": ({"replies": [{"message": {"role": "assistant", "content": "a"}}]}, "replies"),
    "reply text": ({"replies": ["a", "b"]}, "replies[0]"),
    "ranks": ({"ranks": [1, 2]}, "ranks"),
    "ranks true": ({"ranks": [True, 2, 1]}, "ranks"),
    "flag": ({"is_simulated": "yes"}, "is_simulated"),
    "surrogate": ({"reason": "\ud800"}, "reason"),
}


@pytest.mark.parametrize(("changes", "field"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_feedback_is_an_error_with_location_and_key(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(DataError) as caught:
        feedback_from_json(feedback_to_json(RANKING) | changes, LOCATION)
    assert caught.value.field == field
    assert caught.value.location == LOCATION


def test_a_file_is_not_feedback() -> None:
    from chatwright.conversation import File

    message = Message("user", (File("a.pdf", "application/pdf", b"x"),))
    with pytest.raises(InputError):
        feedback_to_json(Thumb(**rating() | {"prompt": (message,)}, reply=reply("b"), is_up=True))


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "feedback.jsonl"
    tie = Ranking(**rating(), replies=(reply("b"), reply("c")), ranks=(1, 1))
    items = [RANKING, THUMB, CORRECTION, tie]
    path.write_text("".join(json.dumps(feedback_to_json(item)) + "\n" for item in items))
    return path


def test_the_lines_of_a_log_become_rows(lines: Path) -> None:
    kinds = [RankedRow, ThumbRow, CorrectionRow, RankedRow]
    assert [type(row) for row in read_rows(lines)] == kinds


@pytest.mark.parametrize(
    ("kind", "n_row", "n_ignored", "n_tie"),
    [
        (PreferenceRow, 3, 1, 1),  # two pairs of the ranking, one of the correction
        (RankedRow, 3, 1, 0),
        (ThumbRow, 7, 0, 1),  # the thumb, and two of each pair
        (ChatRow, 1, 3, 0),
    ],
)
def test_each_stage_reads_what_feedback_states(
    lines: Path, kind: type[Row], n_row: int, n_ignored: int, n_tie: int
) -> None:
    read = read_kind(kind, lines, DEFAULTS, name="rows", remedy="none")
    assert len(read.rows) == n_row
    assert (read.n_ignored, read.n_tie) == (n_ignored, n_tie)


def test_a_pair_is_a_ranking_of_two(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    (row,) = read_kind(RankedRow, path, DEFAULTS, name="rankings", remedy="none").rows
    (pair,) = read_kind(PreferenceRow, path, DEFAULTS, name="pairs", remedy="none").rows
    assert row.ranks == (1, 2)
    assert row.pairs() == [pair]


def test_only_ties_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ties.jsonl"
    tie = Ranking(**rating(), replies=(reply("b"), reply("c")), ranks=(2, 2))
    path.write_text(json.dumps(feedback_to_json(tie)) + "\n")
    with pytest.raises(DataError):
        read_kind(PreferenceRow, path, DEFAULTS, name="preferences", remedy="none")
