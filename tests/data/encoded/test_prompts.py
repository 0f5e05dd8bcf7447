"""Prompts are read with their answers, rendered as the assistant renders them, and split."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.conversation import Message
from chatwright.data.encoded.prompts import encode_prompts, encode_prompts_split
from chatwright.data.readers.record import Record
from chatwright.data.readers.row_shapes import to_row
from chatwright.data.rows import DataError, Location, MissingColumns, PromptRow
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render_prompt

LETTERS = "abcdefghijklmnopqrstuvwxyz ?.0123456789"
LOCATION = Location("a.jsonl", 7)


def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer.train([LETTERS])


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def rows(n: int) -> list[dict[str, object]]:
    return [{"prompt": f"what is {i} and {i}?", "answer": 2 * i, "kind": "sum"} for i in range(n)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"prompt": "one?", "answer": "1", "kind": "count"},
            PromptRow((Message("user", "one?"),), LOCATION, "1", "count"),
        ),
        ({"prompt": "one?"}, PromptRow((Message("user", "one?"),), LOCATION)),
        ({"prompt": "one?", "answer": 1}, PromptRow((Message("user", "one?"),), LOCATION, "1")),
        ({"prompt": "one?", "answer": None, "kind": "x"}, None),
        (
            {"system": "count", "prompt": [{"role": "user", "content": "one?"}], "answer": "1"},
            PromptRow((Message("system", "count"), Message("user", "one?")), LOCATION, "1"),
        ),
    ],
)
def test_prompts_are_read_with_answer_and_kind(
    values: dict[str, Any], expected: PromptRow | None
) -> None:
    row = to_row(Record(values, LOCATION))
    assert row == (expected or PromptRow((Message("user", "one?"),), LOCATION, None, "x"))


def test_a_prompt_beside_unknown_columns_is_still_an_unknown_row() -> None:
    """It may be a conversation whose reply has an unknown column name."""
    with pytest.raises(MissingColumns):
        to_row(Record({"prompt": "one?", "reply": "two"}, LOCATION))


def test_a_prompt_that_ends_with_an_answer_is_refused() -> None:
    turns = [{"role": "user", "content": "one?"}, {"role": "assistant", "content": "two"}]
    with pytest.raises(DataError) as caught:
        to_row(Record({"prompt": turns, "answer": "1"}, LOCATION))
    assert caught.value.field == "prompt"


def test_prompts_equal_those_of_the_assistant(tmp_path: Path) -> None:
    parts = encode_prompts_split(write(tmp_path / "p.jsonl", rows(20)), tokenizer(), 100, 0.2)
    for part in parts:
        assert part.token_ids == [render_prompt(row.messages, tokenizer()) for row in part.rows]
    training, validation = parts
    assert len(training) + len(validation) == 20
    assert len(validation) > 0
    assert not {row.messages for row in training.rows} & {row.messages for row in validation.rows}


def test_too_long_prompts_are_left_out_and_counted() -> None:
    encoded = [
        PromptRow((Message("user", text),), LOCATION, "1") for text in ("a", "a long question?")
    ]
    part = encode_prompts(encoded, tokenizer(), 10)
    assert [row.messages[0].text for row in part.rows] == ["a"]
    assert part.n_too_long == 1


def test_answers_and_kinds_identify_the_data() -> None:
    message = (Message("user", "a"),)
    variants = [PromptRow(message, LOCATION, "1"), PromptRow(message, LOCATION, "2")]
    variants.append(PromptRow(message, LOCATION, "1", "sum"))
    assert len({encode_prompts([row], tokenizer(), 10).sha256 for row in variants}) == 3


def test_conversations_instead_of_prompts_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "c.jsonl", [{"prompt": "a", "completion": "b"}])
    with pytest.raises(DataError):
        encode_prompts_split(file, tokenizer(), 100, 0.2)
