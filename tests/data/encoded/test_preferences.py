"""Preferences become two conversations with loss on the replies, split by prompt."""

import json
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.data.encoded.preferences import encode_preferences_split
from chatwright.data.rows import DataError
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import render

LETTERS = "abcdefghijklmnopqrstuvwxyz ?.0123456789"


def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer.train([LETTERS])


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def row(number: int, chosen: str = "yes", rejected: str = "no") -> dict[str, object]:
    return {"prompt": f"question {number}?", "chosen": chosen, "rejected": rejected}


def test_both_conversations_equal_fine_tuning_and_only_the_replies_carry_loss(
    tmp_path: Path,
) -> None:
    prompt = [
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "two."},
        {"role": "user", "content": "three?"},
    ]
    rows = [{"prompt": prompt, "chosen": "four.", "rejected": "five."}]
    rows += [row(number) for number in range(9)]
    parts = encode_preferences_split(write(tmp_path / "p.jsonl", rows), tokenizer(), 100, 0.3)
    messages = [Message(str(m["role"]), str(m["content"])) for m in prompt]
    better, worse = (
        render([*messages, Message("assistant", reply)], tokenizer())
        for reply in ("four.", "five.")
    )
    [found] = [
        pair
        for part in parts
        for pair in zip(part.chosen, part.rejected, strict=True)
        if pair[0].token_ids == better.token_ids
    ]
    for conversation, whole, reply in zip(found, (better, worse), ("four.", "five."), strict=True):
        assert conversation.token_ids == whole.token_ids
        learned = [
            token_id
            for token_id, has_loss in zip(
                conversation.token_ids, conversation.loss_mask, strict=True
            )
            if has_loss
        ]
        assert learned == [*tokenizer().encode(reply), tokenizer().control.end]


def test_all_pairs_of_a_prompt_are_on_one_side_and_none_is_lost(tmp_path: Path) -> None:
    rows = [row(number % 10, chosen=f"yes {number}") for number in range(40)]
    parts = encode_preferences_split(write(tmp_path / "p.jsonl", rows), tokenizer(), 100, 0.3)
    prompts = [
        {tuple(rendered.token_ids[: len("question 1?") + 2]) for rendered in part.chosen}
        for part in parts
    ]
    assert not prompts[0] & prompts[1]
    assert sum(map(len, parts)) == 40
    assert parts[1].describe()["pairs"] == len(parts[1])
    assert parts[0].sha256 != parts[1].sha256


def test_pairs_with_one_reply_that_is_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row(number, rejected="x" * (200 if number % 2 else 2)) for number in range(20)]
    training, validation = encode_preferences_split(
        write(tmp_path / "p.jsonl", rows), tokenizer(), 100, 0.4
    )
    assert training.n_too_long + validation.n_too_long == 10
    assert len(training) + len(validation) == 10


@pytest.mark.parametrize(
    ("rows", "length", "field"),
    [
        ([row(1), row(1, "maybe")], 100, "validation_share"),
        ([row(number) for number in range(10)], 5, "context_length"),
        ([{"text": "no preference"}], 100, None),
    ],
    ids=["one prompt only", "all too long", "no preference"],
)
def test_data_that_cannot_be_learned_is_refused(
    tmp_path: Path, rows: list[dict[str, object]], length: int, field: str | None
) -> None:
    with pytest.raises(DataError) as caught:
        encode_preferences_split(write(tmp_path / "p.jsonl", rows), tokenizer(), length, 0.3)
    assert caught.value.remedy
    if field is not None:
        assert caught.value.field == field
