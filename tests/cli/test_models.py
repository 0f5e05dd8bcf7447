"""`chatwright models`: the tree of versions, promotion by force, rollback, the served version."""

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
from tests.pipeline.run_command import chatwright

TOKENIZER = CharacterTokenizer.train(["abcdefgh é🙂"])


def save_model(path: Path, seed: int) -> None:
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 64}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=96, **shape))
    init_weights(model, generator(seed, "init"))
    model_directory.save(path, model, TOKENIZER, {"seed": seed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """v1 is served; v2 and v3 come from it and v4 from v2; v2 was refused."""
    for number in (1, 2, 3, 4):
        save_model(tmp_path / f"improve/{number}/model", number)
    read = None
    for number, parent in ((1, ""), (2, "v1"), (3, "v1"), (4, "v2")):
        lineage = {"parent": read.version(parent).id, "method": "dpo"} if read else {}
        model = tmp_path / f"improve/{number}/model"
        registry.add(tmp_path, model_versions.describe(tmp_path, model, **lineage))
        read = registry.read(tmp_path)
    figures = {"win_rate": 0.41, "win_rate_low": 0.35, "win_rate_high": 0.47}
    registry.refuse(tmp_path, "v2", "the win rate's interval is below 50 %", figures)
    return tmp_path


def states(folder: Path) -> dict[str, str]:
    lines = chatwright("models", "list", folder, "--json").splitlines()
    return {row["name"]: row["state"] for row in map(json.loads, lines)}


def test_the_list_is_a_tree_of_all_versions(folder: Path) -> None:
    lines = chatwright("models", "list", folder).splitlines()
    assert [line.split("v")[0] for line in lines[:4]] == ["", "├─ ", "│  └─ ", "└─ "]
    assert states(folder) == {
        "v1": "served",
        "v2": "refused",
        "v3": "not decided",
        "v4": "not decided",
    }


def test_show_names_lineage_figures_and_decisions(folder: Path) -> None:
    shown = chatwright("models", "show", folder, "v2")
    first = registry.read(folder).versions[0]
    assert model_directory.weights_hash(folder / "improve/2/model") in shown
    assert "0.3500" in shown
    assert "refused" in shown
    assert "v1" in shown
    assert first.weights in chatwright("models", "show", folder)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_promoting_without_a_won_comparison_needs_force_and_a_reason(
    folder: Path, version: str
) -> None:
    for options in ((), ("--reason", "I like it"), ("--force",)):
        with pytest.raises(InputError):
            chatwright("models", "promote", folder, version, *options)
    assert states(folder)["v1"] == "served"
    chatwright("models", "promote", folder, version, "--force", "--reason", "I like it")
    assert states(folder)[version] == "served"
    assert registry.read(folder).events[-1].reason == "I like it"
    chatwright("models", "rollback", folder)
    assert states(folder)["v1"] == "served"


def test_the_directory_of_the_versions_means_the_served_one(folder: Path) -> None:
    def weights() -> str:
        return model_directory.weights_hash(folder)

    assert weights() == model_directory.weights_hash(folder / "improve/1/model")
    chatwright("models", "promote", folder, "v4", "--force", "--reason", "a test")
    assert weights() == model_directory.weights_hash(folder / "improve/4/model")


def test_damaged_replaced_and_deleted_versions_are_never_served(folder: Path) -> None:
    weights = folder / "improve/3/model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(InputError):
        chatwright("models", "promote", folder, "v3", "--force", "--reason", "a test")
    save_model(folder / "improve/1/model", 7)
    with pytest.raises(InputError) as caught:
        model_directory.load(folder)
    assert caught.value.field == "version"


def test_a_changed_registry_is_refused_when_listed_and_when_its_model_is_used(folder: Path) -> None:
    file = folder / registry.REGISTRY_FILE
    file.write_text(file.read_text().replace("0.41", "0.91"))
    for arguments in (("models", "list", folder), ("generate", folder, "abc")):
        with pytest.raises(InputError) as caught:
            chatwright(*arguments)
        assert (caught.value.field, caught.value.value) == (registry.REGISTRY_FILE, 5)
