"""The judge that the user chose is opened, or refused with the option that is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.presets import preset
from chatwright.pipeline.comparison.judge_choice import JudgeOptions, open_judge, read_key
from chatwright.pipeline.load_reward_model import load_reward_model
from tests.pipeline.comparison.small_models import SHAPE, TOKENIZER, prompts, save_model

REPLIES = [Message("assistant", text) for text in ("0", "abc", "4.", "12345678", "4")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model in the directory of a run, and an untrained reward model."""
    folder = tmp_path_factory.mktemp("judges")
    save_model(folder / "run" / "model", 0)
    (folder / "run" / "run.json").write_text("{}")
    model = GPT(preset("nano", vocab_size=TOKENIZER.vocab_size, **SHAPE, head="scalar"))
    init_weights(model, generator(2, "weights"))
    assert model.scalar_head is not None
    model.scalar_head.score.weight.data.normal_(generator=generator(3, "head"))
    model_directory.save(folder / "reward", model, TOKENIZER)
    return folder


def test_a_reward_model_prefers_the_reply_with_the_higher_score(folder: Path) -> None:
    judge = open_judge(
        JudgeOptions(reward_model=folder / "reward"), folder, [folder / "run"], folder
    )
    row = prompts(3)[2]
    scores = load_reward_model(folder / "reward").scores([(*row.messages, r) for r in REPLIES])
    assert len(set(scores)) > 1
    for i, first in enumerate(REPLIES):
        verdicts = judge.judge([row] * len(REPLIES), [first] * len(REPLIES), REPLIES)
        assert verdicts == [0.5 if scores[i] == s else float(scores[i] > s) for s in scores]


@pytest.mark.parametrize("is_copied", [False, True])
def test_the_reward_of_the_training_cannot_judge_it(
    folder: Path, tmp_path: Path, is_copied: bool
) -> None:
    run = shutil.copytree(folder / "run", tmp_path / "run")
    settings = {"stage": {"reward": {"model": str(folder / "reward")}}}
    (run / "run.json").write_text(json.dumps(settings))
    reward = shutil.copytree(folder / "reward", tmp_path / "r") if is_copied else folder / "reward"
    for model in (run, run / "model"):
        with pytest.raises(InputError) as caught:
            open_judge(JudgeOptions(reward_model=reward), tmp_path, [folder / "run", model], run)
        assert caught.value.field == "reward_model"


def test_rules_of_the_answer_are_found_by_name(folder: Path) -> None:
    judge = open_judge(JudgeOptions(rules=("right_number",)), folder, [], folder)
    row = prompts(3)[2]
    assert judge.judge([row] * 2, REPLIES[2:4], [REPLIES[0]] * 2) == [1.0, 0.5]


def test_a_key_is_read_from_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("JUDGE_KEY", "other")
    assert read_key(tmp_path / "key", "") == "secret"
    assert read_key(None, "JUDGE_KEY") == "other"
    assert read_key(None, "") == ""
    with pytest.raises(InputError) as caught:
        read_key(None, "NO_SUCH_KEY")
    assert caught.value.field == "--judge-key-env"
