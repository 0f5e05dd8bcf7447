"""Rated replies as token ids: what carries loss, and which replies are mismatched."""

import json
from collections import Counter
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.data.encoded.rated_replies import (
    encode_replies,
    encode_replies_split,
    mismatched_partners,
)
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.rows import DataError, Location, ThumbRow
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.tokenizer.chat_template import Rendered

TOKENIZER = CharacterTokenizer.train(["abcdefghijklmnopqrstuvwxyz 0123456789"])


def row(prompt: str, reply: str, is_good: bool = True) -> ThumbRow:
    messages = (Message("user", prompt),), (Message("assistant", reply),)
    return ThumbRow(*messages, is_good, Location("rows.jsonl"))


def learned_text(rendered: Rendered) -> str:
    control = set(TOKENIZER.control.all())
    pairs = zip(rendered.token_ids, rendered.loss_mask, strict=True)
    return TOKENIZER.decode([i for i, is_learned in pairs if is_learned and i not in control])


def whole_text(rendered: Rendered) -> str:
    control = set(TOKENIZER.control.all())
    return TOKENIZER.decode([i for i in rendered.token_ids if i not in control])


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (2, 1, 1), (1, 4, 2, 2), (5, 1, 2, 3)])
def test_every_reply_is_mismatched_once_and_never_with_its_own_prompt(
    sizes: tuple[int, ...],
) -> None:
    """No group holds more than half of the rows here."""
    prompts = [str(group) for group, size in enumerate(sizes) for _ in range(size)]
    for seed in range(5):
        partners = mismatched_partners(prompts, seed)
        assert Counter(partners) == Counter(range(len(prompts)))
        assert all(prompts[i] != prompts[partner] for i, partner in enumerate(partners))


def test_a_prompt_with_most_rows_is_mismatched_with_itself_in_part() -> None:
    partners = mismatched_partners(["a", "a", "a", "b"], 1)
    assert sorted(partners) == [0, 1, 2, 3]
    assert mismatched_partners(["a"], 1) == [0]


def test_only_the_reply_carries_loss_and_the_mismatched_row_keeps_the_prompt() -> None:
    rows = [row("one", "first"), row("two", "second", is_good=False)]
    encoded = encode_replies(rows, TOKENIZER, 64, seed=1)
    assert [learned_text(r) for r in encoded.conversations] == ["first", "second"]
    assert [learned_text(r) for r in encoded.mismatched] == ["second", "first"]
    assert "one" in whole_text(encoded.mismatched[0])
    assert "two" in whole_text(encoded.mismatched[1])
    assert encoded.is_good == [True, False]


def test_long_conversations_are_left_out_and_long_mismatched_ones_are_cut() -> None:
    rows = [row("a" * 20, "b"), row("c", "d" * 20), row("e" * 30, "f" * 30)]
    encoded = encode_replies(rows, TOKENIZER, 32, seed=1)
    assert encoded.n_too_long == 1
    assert [len(r.token_ids) <= 32 for r in encoded.mismatched] == [True, True]
    assert learned_text(encoded.mismatched[0]).startswith("ddd"), "the beginning of the reply"


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_pairs_count_as_a_good_and_a_bad_reply(tmp_path: Path) -> None:
    pairs: list[dict[str, object]] = [
        {"prompt": f"p {i}", "chosen": "yes", "rejected": "no"} for i in range(20)
    ]
    thumbs: list[dict[str, object]] = [
        {"prompt": f"p {i}", "completion": "maybe", "label": False} for i in range(20)
    ]
    path = write(tmp_path / "rows.jsonl", [*pairs, *thumbs, thumbs[0]])
    training, validation = encode_replies_split(path, TOKENIZER, 64, 0.2, DEFAULTS, seed=1)
    assert len(training) + len(validation) == 60
    assert len(training) % 3 == 0, "all replies to a prompt are on one side"
    assert training.n_good * 3 == len(training)
    assert training.n_duplicate == 1


def test_conversations_without_ratings_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"prompt": "p", "completion": "c"}])
    with pytest.raises(DataError):
        encode_replies_split(path, TOKENIZER, 64, 0.2, DEFAULTS, seed=1)
