"""Rankings are held out by prompt and by rater; ties and long conversations are counted."""

import json
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.data.encoded.rankings import (
    FEWEST_RATERS,
    encode_rankings,
    encode_rankings_split,
    hold_out,
)
from chatwright.data.rows import DataError, Location, RankedRow
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["what is it? 0123456789 a good reply, a bad one."])


def rows(n_prompt: int = 40, raters: tuple[str, ...] = ("a", "b", "c", "d")) -> list[RankedRow]:
    """Every rater ranks the replies to every prompt."""
    return [
        RankedRow(
            (Message("user", f"what is it? {number}"),),
            ((Message("assistant", "a good reply"),), (Message("assistant", "a bad one"),)),
            (1, 2),
            rater,
            Location("rows", number),
        )
        for number in range(n_prompt)
        for rater in raters
    ]


def test_training_sees_neither_a_held_out_prompt_nor_a_held_out_rater() -> None:
    found = rows()
    held_out = hold_out(found, 0.2, 0.25)
    trained = [row for row, kept in zip(found, held_out, strict=True) if not kept]
    for row, kept in zip(found, held_out, strict=True):
        is_new_prompt = row.prompt not in {other.prompt for other in trained}
        is_new_rater = row.rater not in {other.rater for other in trained}
        names = {(0, 0): "", (1, 0): "prompt", (0, 1): "rater", (1, 1): "both"}
        assert kept == names[is_new_prompt, is_new_rater]
    assert set(held_out) == {"", "prompt", "rater", "both"}


@pytest.mark.parametrize("raters", [("a", "b", "c"), ("",) * FEWEST_RATERS])
def test_few_or_unknown_raters_are_all_trained_on(raters: tuple[str, ...]) -> None:
    assert set(hold_out(rows(raters=raters), 0.2, 0.25)) == {"", "prompt"}


def test_a_single_prompt_cannot_be_held_out() -> None:
    with pytest.raises(DataError) as caught:
        hold_out(rows(n_prompt=1), 0.2, 0.25)
    assert caught.value.field == "validation_share"


def test_ties_and_long_conversations_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = [
        {"prompt": f"what is it? {i}", "chosen": "a good reply", "rejected": "a bad one"}
        for i in range(20)
    ]
    lines.append({**lines[0], "chosen": "a good reply " * 20})
    tie = {
        "feedback": "ranking",
        "prompt": [{"role": "user", "content": "what is it? 3"}],
        "replies": [{"message": {"role": "assistant", "content": t}} for t in ("a", "b")],
        "ranks": [1, 1],
        "rater": "ann",
        "time": "2026-01-01T00:00:00+00:00",
    }
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, tie]))
    training, validation = encode_rankings_split(path, TOKENIZER, 100, 0.2, 0.25)
    assert len(training) + len(validation) == 20
    assert training.n_too_long + validation.n_too_long == 1
    assert training.n_tied == 1
    assert all(ranking.held_out == "prompt" for ranking in validation.rankings)


def test_the_hash_covers_texts_ranks_and_raters() -> None:
    [row, *_] = rows()
    other = [
        RankedRow(row.prompt, row.endings, (2, 1), row.rater, row.location),
        RankedRow(row.prompt, row.endings, row.ranks, "z", row.location),
        RankedRow(row.prompt, row.endings[::-1], row.ranks, row.rater, row.location),
    ]
    hashes = {encode_rankings([r], TOKENIZER, 100).sha256 for r in [row, *other]}
    assert len(hashes) == 4
