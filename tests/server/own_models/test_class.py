"""Three scripted learners on a real server, each with a model of its own."""

import runpy
import string
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.devices import generator
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.tokenizer.characters import CharacterTokenizer

ROOT = Path(__file__).resolve().parents[3]


def save_untrained_model(path: Path) -> None:
    tokenizer = CharacterTokenizer.train([string.printable])
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 16, "d_model": 32, "d_ff": 32}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, context_length=320, **shape))
    init_weights(model, generator(1, "init"))
    model_directory.save(path, model, tokenizer, {"seed": 1})


@pytest.mark.ci
@pytest.mark.timeout(900)  # three trainings: half a minute on an idle machine
def test_three_learners_train_and_look_into_their_own_models(tmp_path: Path) -> None:
    learners = runpy.run_path(str(ROOT / "benchmarks" / "learners.py"))
    save_untrained_model(tmp_path / "served")
    (tmp_path / "class").mkdir()
    report = learners["run_class"](tmp_path / "served", tmp_path / "class", 3, steps=40, layers=1)
    assert report["problems"] == []
    assert report["finished"] == report["own_models"] == 3
    assert report["most_trainings_at_once"] == 2
    assert [lesson["n"] for lesson in report["class"]] == [3] * 13
    assert report["largest_disk_of_a_learner_mb"] < 20
