"""Where the versions of a model are, and which model is the first one."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory, registry
from chatwright.devices import generator
from chatwright.errors import InputError
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.pipeline import model_versions
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["abcdefgh é🙂"])


def save_stage(path: Path, kind: str, seed: int, parent: Path | None = None) -> Path:
    """Write a finished stage of a recipe with an untrained model."""
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 64}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=96, **shape))
    init_weights(model, generator(seed, "init"))
    notes = {"parent": None if parent is None else model_directory.weights_hash(parent)}
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    (path / "stage.json").write_text(json.dumps({"kind": kind, "done": True, "inputs": "0"}))
    model_directory.save(path / "model", model, TOKENIZER, notes)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The folder of a recipe: an SFT stage continues the pretrained model."""
    first = save_stage(tmp_path / "starter" / "pretrain", "pretrain", 1)
    save_stage(tmp_path / "starter" / "sft", "sft", 2, first)
    return tmp_path / "starter"


def test_the_first_version_of_a_recipe_is_its_last_stage(recipe: Path) -> None:
    assert model_versions.open_registry(recipe).current.path == "sft/model"
    assert model_directory.find(recipe) == recipe / "sft" / "model"


def test_a_stage_has_its_versions_in_the_folder_of_the_recipe(recipe: Path) -> None:
    read = model_versions.open_registry(recipe / "sft")
    assert (read.directory, read.current.path) == (recipe.resolve(), "sft/model")
    assert not registry.holds_registry(recipe / "sft")


def test_a_stage_that_is_no_longer_served_is_refused(recipe: Path) -> None:
    model_versions.open_registry(recipe)
    other = recipe / "pretrain" / "model"
    registry.add(recipe, model_versions.describe(recipe, other))
    registry.promote(recipe, "v2", "a test")
    with pytest.raises(InputError):
        model_versions.open_registry(recipe / "sft")
    assert model_versions.open_registry(recipe / "pretrain").current.name == "v2"


def test_several_last_stages_are_refused(recipe: Path) -> None:
    save_stage(recipe / "other", "sft", 3, recipe / "pretrain")
    with pytest.raises(InputError) as caught:
        model_versions.open_registry(recipe)
    assert "other" in caught.value.remedy
    assert "sft" in caught.value.remedy


def test_a_model_alone_is_left_as_it_is(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = (recipe / "sft" / "model").rename(tmp_path / "fetched")
    before = sorted(model.iterdir())
    read = model_versions.open_registry(Path("fetched"))
    assert read.directory == Path("runs/fetched")
    assert model_directory.find(read.directory).resolve() == model
    assert sorted(model.iterdir()) == before


def test_an_unfinished_training_has_no_versions(recipe: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000001"
    checkpoint.parent.mkdir(parents=True)
    (recipe / "sft" / "model").rename(checkpoint)
    (checkpoint / "train_state.json").write_text("{}")
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(InputError):
        model_versions.open_registry(tmp_path / "run")
    with pytest.raises(InputError):
        model_versions.open_registry(tmp_path / "nothing")
