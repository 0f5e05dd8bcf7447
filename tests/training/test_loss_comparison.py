"""The report explains from the settings why training and validation loss differ.

The tests look for settings and numbers in the explanation, not for its sentences.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from small_run import CPU, QUESTIONS, TEXTS, character_tokenizer

from chatwright.conversation import Message
from chatwright.tokenizer.chat_template import Rendered, render
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.loss_comparison import differences
from chatwright.training.report import write_report
from chatwright.training.stage import BatchConfig


def run_settings(**changes: Any) -> dict[str, Any]:
    """Return a run.json without any difference between training and validation."""
    plain = {
        "stage": {"data": "identified by content", "texts": "", "batches": {"rows": 4}},
        "model": {"dropout": 0.0, "ngram_dropout": 0.0},
        "loop": {"average_decay": 0.0},
        "data": {"train": {"tokens": 1000, "supervised_tokens": 400}},
    }
    return plain | changes


def test_plain_run_needs_no_explanation() -> None:
    assert differences(run_settings()) == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"stage": {"data": "a", "chat": "b"}}, "chat"),
        ({"model": {"dropout": 0.1}}, "model.dropout=0.1"),
        ({"stage": {"batches": {"token_dropout": 0.2}}}, "batches.token_dropout=0.2"),
        ({"stage": {"lora": {"dropout": 0.3}}}, "lora.dropout=0.3"),
        ({"loop": {"average_decay": 0.9}}, "loop.average_decay"),
        ({"stage": {"label_smoothing": 0.1}}, "label_smoothing"),
        ({"stage": {"distillation": {"teacher": "x"}}}, "distillation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_explanation_names_the_setting(changes: dict[str, Any], setting: str) -> None:
    [explanation] = differences(run_settings(**changes))
    assert setting in explanation


def test_starters_fine_tuning_is_explained_by_its_texts() -> None:
    """The starter ends at a training loss near 0.5 and a validation loss near 0.07.

    Two fifths of the tokens with loss belong to texts, at 1.10 nats each (recipes/starter.toml and
    starter.expected.json), and 0.43 x 1.10 + 0.57 x 0.067 = 0.51. The starter has no dropout.
    """
    starter = run_settings(
        stage={"data": "identified by content", "texts": "identified", "texts_share": 0.2},
        data={"train": {"tokens": 332_879, "supervised_tokens": 156_357}},
    )
    [explanation] = differences(starter)
    assert "43%" in explanation


def test_share_of_texts_is_their_share_of_the_tokens_with_loss() -> None:
    """All tokens of a text have loss, but only the replies of a conversation do."""
    tokenizer = character_tokenizer()
    conversations = [
        render([Message("user", question), Message("assistant", answer)], tokenizer)
        for question, answer in QUESTIONS
    ]
    texts = [Rendered(ids, [True] * len(ids)) for ids in map(tokenizer.encode, TEXTS)]
    n_text = sum(len(text.token_ids) for text in texts)
    n_token = n_text + sum(len(c.token_ids) for c in conversations)
    n_supervised = n_text + sum(sum(c.loss_mask) for c in conversations)
    batches = PackedBatches(
        [*conversations, *texts], 0, BatchConfig(rows=4, context_length=64), 64, 1, CPU
    )
    settings = run_settings(
        stage={"data": "a", "texts": "b", "texts_share": n_text / n_token},
        data={"train": batches.describe()},
    )
    [explanation] = differences(settings)
    assert f"{n_text / n_supervised:.0%}" in explanation


def test_report_shows_the_explanation(tmp_path: Path) -> None:
    settings = run_settings(loop={"average_decay": 0.9})
    (tmp_path / "run.json").write_text(json.dumps(settings))
    assert "loop.average_decay)" in write_report(tmp_path).read_text()
