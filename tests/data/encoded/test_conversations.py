"""Conversations as token ids: rendered, cut after answers, split, and counted if left out."""

from pathlib import Path
from typing import Any

import pytest

from chatwright.conversation import Message
from chatwright.data.encoded.conversations import (
    cut_after_answer,
    encode_conversations,
    encode_conversations_split,
    shorten,
)
from chatwright.data.rows import DataError
from chatwright.tokenizer.chat_template import render
from chatwright.tokenizer.tool_call_text import message_from_turn
from tests.data.letters import LETTERS, chat, write_json_lines


def test_conversations_are_rendered_by_the_chat_template(tmp_path: Path) -> None:
    path = write_json_lines(
        tmp_path / "a.jsonl", [chat("a", "bc"), {"text": "d"}, chat("d", "e", "f", "a")]
    )
    encoded = encode_conversations(path, LETTERS, 100)
    expected = [
        render([Message("user", "a"), Message("assistant", "bc")], LETTERS),
        render(
            [
                Message("user", "d"),
                Message("assistant", "e"),
                Message("user", "f"),
                Message("assistant", "a"),
            ],
            LETTERS,
        ),
    ]
    assert encoded.conversations == expected
    assert (encoded.n_cut, encoded.n_too_long, encoded.n_rows_ignored) == (0, 0, 1)
    assert encoded.n_tokens == 8 + 13
    assert encoded.n_supervised_tokens == 3 + 4


def test_long_conversations_are_cut_after_an_answer_and_counted(tmp_path: Path) -> None:
    # <bos> <user> a <eoq> <assistant> b <end> is 7 tokens; each further exchange of one letter adds
    # 6.
    path = write_json_lines(
        tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "b", "c", "d"), chat("a", "b" * 50)]
    )
    encoded = encode_conversations(path, LETTERS, 12)
    first = render([Message("user", "a"), Message("assistant", "b")], LETTERS)
    assert encoded.conversations == [first, first]
    assert (encoded.n_cut, encoded.n_too_long) == (1, 1)
    assert encode_conversations(path, LETTERS, 13).n_cut == 0
    with pytest.raises(DataError) as caught:
        encode_conversations(path, LETTERS, 6)
    assert caught.value.field == "context_length"


def test_a_conversation_may_be_cut_after_a_tool_call() -> None:
    turns = [
        Message("user", "a"),
        message_from_turn("tool_call", "b"),
        message_from_turn("tool", "c"),
        Message("assistant", "d"),
    ]
    rendered = render(turns, LETTERS)
    kept = cut_after_answer(rendered, len(rendered.token_ids) - 1)
    assert kept == render(turns[:2], LETTERS)


@pytest.mark.parametrize("length", [6, 7, 12, 13, 60])
def test_shortening_equals_encoding_with_the_shorter_limit(tmp_path: Path, length: int) -> None:
    rows = [chat("a", "b"), chat("a", "b", "c", "d"), chat("a", "b" * 50), chat("e", "f")]
    path = write_json_lines(tmp_path / "a.jsonl", rows)
    shortened = shorten(encode_conversations(path, LETTERS, 100), length)
    if length < 7:
        assert shortened.conversations == []
        assert shortened.n_too_long == 4
    else:
        assert shortened == encode_conversations(path, LETTERS, length)


def with_flags(record: dict[str, Any], index: int, **flags: object) -> dict[str, Any]:
    record["messages"][index] |= flags
    return record


@pytest.mark.parametrize("flag", [{"weight": 0}, {"train": False}, {"loss": False}])
def test_answer_with_a_false_flag_carries_no_loss(tmp_path: Path, flag: dict[str, object]) -> None:
    record = with_flags(chat("a", "b", "c", "d"), 1, **flag)
    path = write_json_lines(tmp_path / "a.jsonl", [record])
    [rendered] = encode_conversations(path, LETTERS, 100).conversations
    turns = [Message(("user", "assistant")[i % 2], letter) for i, letter in enumerate("abcd")]
    assert rendered == render(turns, LETTERS, learned=[True, False, True, True])
    assert sum(rendered.loss_mask) == 2, "d and its end token"


@pytest.mark.parametrize("flag", [{"train": False}, {"loss": False}])
def test_conversations_without_an_answer_to_learn_are_left_out_and_counted(
    tmp_path: Path, flag: dict[str, object]
) -> None:
    kept = chat("a", "b")
    unlearned_row = chat("c", "d") | flag
    unlearned_answer = with_flags(chat("e", "f"), 1, **flag)
    path = write_json_lines(tmp_path / "a.jsonl", [kept, unlearned_row, unlearned_answer])
    encoded = encode_conversations(path, LETTERS, 100)
    assert len(encoded.conversations) == 1
    assert encoded.n_not_learned == 2
    write_json_lines(path, [unlearned_row])
    with pytest.raises(DataError) as caught:
        encode_conversations(path, LETTERS, 100)
    assert caught.value.field == "weight"


def test_equal_questions_are_on_the_same_side_of_the_split(tmp_path: Path) -> None:
    records = [chat(question, answer) for question in "abcdef" for answer in ("aa", "bb", "cc")]
    train, validation = encode_conversations_split(
        write_json_lines(tmp_path / "a.jsonl", records), LETTERS, 20, 0.4
    )
    assert len(train.conversations) + len(validation.conversations) == 18
    assert not {row.token_ids[2] for row in train.conversations} & {
        row.token_ids[2] for row in validation.conversations
    }


def test_one_huge_conversation_does_not_push_the_others_into_validation(tmp_path: Path) -> None:
    pairs = [(first, second) for first in "abcdef" for second in "abcdef"]
    records = [chat(f"{first}{second}", "ab") for first, second in pairs]
    huge = chat("abc", "abcdef" * 5_000)
    path = write_json_lines(tmp_path / "a.jsonl", [*records, huge])
    train, validation = encode_conversations_split(path, LETTERS, 40_000, 0.05)
    assert len(train.conversations) + len(validation.conversations) == 37
    assert 1 <= len(validation.conversations) <= 3


def test_conversations_too_alike_to_split_are_an_error(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "c")])
    with pytest.raises(DataError) as caught:
        encode_conversations_split(path, LETTERS, 20)
    assert "2 conversations" in caught.value.cause


def test_a_character_without_a_token_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "a.jsonl", [chat("a", "b"), chat("a", "z")])
    with pytest.raises(DataError) as caught:
        encode_conversations(path, LETTERS, 20)
    assert caught.value.location.number == 2
    assert "U+007A" in caught.value.cause


def test_data_without_conversations_is_an_error(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "a.jsonl", [{"text": "a"}])
    with pytest.raises(DataError) as caught:
        encode_conversations(path, LETTERS, 10)
    assert caught.value.location.file == str(path)
    assert "1 rows" in caught.value.cause
