"""A recipe repeats stale stages, skips finished ones, resumes stopped ones and deletes nothing."""

import json
from pathlib import Path

import pytest

from chatwright import config
from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.pipeline.content_hash import content_hash
from chatwright.pipeline.improve.loop import read_loop
from chatwright.pipeline.packaged_recipes import find_recipe, packaged_recipe
from chatwright.pipeline.recipe import read_recipe
from chatwright.pipeline.run_recipe import run_recipe
from chatwright.training.watcher import Progress, Stopped, Watcher

RECIPE = """
stages = ["tokenizer", "pretrain", "sft"]
[tokenizer]
data = "{data}"
vocab_size = 290
[pretrain]
data = "{data}"
chat = "{data}"
validation_share = 0.1
sample_prompts = ["the"]
sample_tokens = 5
[pretrain.model]
size = "nano"
context_length = 64
[pretrain.batches]
rows = 2
[pretrain.loop]
steps = 6
save_every = 2
evaluate_every = 5
precision = "float32"
[sft]
data = "{data}"
texts = "{data}"
validation_share = 0.2
sample_prompts = ["Hi"]
sample_tokens = 5
stop_prompts = 2
[sft.batches]
rows = 2
[sft.loop]
steps = 20
save_every = 4
evaluate_every = 30
precision = "float32"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text(
        "the cat sat on the mat and the dog sat on the log. " * 60
    )
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"cat {i}?"},
                {"role": "assistant", "content": "yes."},
            ]
        }
        for i in range(20)
    ]
    (tmp_path / "data" / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run(directory: Path, *overrides: str, watcher: Watcher | None = None) -> list[str]:
    messages: list[str] = []
    watcher = watcher or Watcher(say=messages.append)
    run_recipe(
        read_recipe(directory / "r.toml", overrides), directory / "out", directory / "data", watcher
    )
    return messages


def finished_stages(messages: list[str]) -> list[str]:
    return [line.split()[1].rstrip(":") for line in messages if line.endswith("already finished")]


def test_a_second_run_repeats_only_stale_stages(directory: Path) -> None:
    assert finished_stages(run(directory)) == []
    weights = (directory / "out" / "sft" / "model" / "model.safetensors").read_bytes()
    assert finished_stages(run(directory)) == ["tokenizer", "pretrain", "sft"]
    assert finished_stages(run(directory, "sft.loop.save_every=3", "sft.loop.keep=5")) == [
        "tokenizer",
        "pretrain",
        "sft",
    ], "settings of saving do not make a stage stale"
    messages = run(directory, "sft.loop.steps=21")
    assert finished_stages(messages) == ["tokenizer", "pretrain"]
    assert any("kept as sft.old-1" in line for line in messages)
    assert (directory / "out" / "sft.old-1" / "model" / "model.safetensors").read_bytes() == weights
    (directory / "data" / "b.txt").write_text(
        "a new text that was not there before, about a bird. " * 20
    )
    assert finished_stages(run(directory, "sft.loop.steps=21")) == []


def test_a_recipe_stopped_in_any_stage_and_resumed_ends_with_the_same_weights(
    directory: Path,
) -> None:
    run(directory)
    whole = (directory / "out" / "sft" / "model" / "model.safetensors").read_bytes()
    (directory / "out").rename(directory / "whole")
    for stage, step in (("pretrain", 3), ("sft", 5), ("sft", 8)):
        reached: list[Progress] = []

        def should_stop(
            stage: str = stage, step: int = step, reached: list[Progress] = reached
        ) -> bool:
            return bool(reached) and reached[-1].stage == stage and reached[-1].step >= step - 1

        with pytest.raises(Stopped):
            run(
                directory,
                "pretrain.loop.log_every=1",
                "sft.loop.log_every=1",
                watcher=Watcher(progress=reached.append, should_stop=should_stop),
            )
    run(directory, "pretrain.loop.log_every=1", "sft.loop.log_every=1")
    assert (directory / "out" / "sft" / "model" / "model.safetensors").read_bytes() == whole


def test_the_training_stages_of_a_recipe_write_their_files_and_models_that_can_be_loaded(
    directory: Path,
) -> None:
    run(directory)
    for stage in ("pretrain", "sft"):
        folder = directory / "out" / stage
        assert {
            "model",
            "checkpoints",
            "metrics.jsonl",
            "report.html",
            "run.json",
            "stage.json",
        } <= {p.name for p in folder.iterdir()}
        model, tokenizer = model_directory.load(folder)
        assert model.config.vocab_size == tokenizer.vocab_size
        report = (folder / "report.html").read_text()
        assert "<svg" in report
        assert "http" not in report.replace("http://www.w3.org", "").replace(
            "http://purl.org", ""
        ).replace("http://creativecommons.org", "").replace("https://matplotlib.org", "")
    notes = json.loads((directory / "out" / "sft" / "model" / "training.json").read_text())
    assert notes["trained_tokens"] > 0
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    assert 0.0 < notes["figures"]["stop_rate"] <= 1.0


def test_a_moved_recipe_folder_resumes_from_another_working_directory(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """{here} is the recipe's directory, whatever the working directory."""
    (directory / "r.toml").write_text(
        RECIPE.replace('"{data}"', '["{here}/data/a.txt", "{here}/data/chat.jsonl"]')
    )
    run_recipe(read_recipe(directory / "r.toml"), directory / "whole", None, Watcher())
    reached: list[Progress] = []
    watcher = Watcher(
        progress=reached.append,
        should_stop=lambda: bool(reached) and reached[-1].stage == "sft" and reached[-1].step >= 10,
    )
    with pytest.raises(Stopped):
        run_recipe(read_recipe(directory / "r.toml"), directory / "out", None, watcher)
    moved = directory.rename(directory.with_name("moved"))
    monkeypatch.chdir(moved)
    messages: list[str] = []
    run_recipe(read_recipe(Path("r.toml")), Path("out"), None, Watcher(say=messages.append))
    assert finished_stages(messages) == ["tokenizer", "pretrain"]
    assert any(line.startswith("resuming at step") for line in messages)
    assert (moved / "out/sft/model/model.safetensors").read_bytes() == (
        moved / "whole/sft/model/model.safetensors"
    ).read_bytes()


def test_pretraining_needs_no_texts_if_there_are_conversations(directory: Path) -> None:
    recipe = RECIPE.replace('[pretrain]\ndata = "{data}"', "[pretrain]").replace(
        'texts = "{data}"\n', ""
    )
    (directory / "r.toml").write_text(recipe)
    (directory / "data" / "a.txt").unlink()
    messages = run(directory, "pretrain.chat_validation_share=0.2")
    assert any(line.startswith("training on 16 conversations") for line in messages)
    notes = json.loads((directory / "out" / "pretrain" / "model" / "training.json").read_text())
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    (directory / "r.toml").write_text(recipe.replace('chat = "{data}"', ""))
    with pytest.raises(InputError, match="pretrain") as caught:
        read_recipe(directory / "r.toml")
    assert caught.value.field == "data"


def test_an_override_changes_only_the_setting_that_it_names(directory: Path) -> None:
    recipe = read_recipe(directory / "r.toml", ["pretrain.loop.steps=9"])
    assert recipe.stages[1].table["loop"]["steps"] == 9
    assert recipe.stages[2].table["loop"]["steps"] == 20


def test_the_hash_of_a_directory_covers_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = content_hash(tmp_path)
    (tmp_path / ".hidden").write_text("2")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("3")
    (tmp_path / "Thumbs.db").write_text("4")
    assert content_hash(tmp_path) == first, "files that are never read as data do not count"
    (tmp_path / "a").rename(tmp_path / "b")
    assert content_hash(tmp_path) != first


def test_a_packaged_recipe_is_found_by_name_unless_a_local_path_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(Path("own-data")) == packaged_recipe("own-data")
    for path in (Path("own-data.toml"), Path("recipes/own-data"), Path("no-such-recipe")):
        assert find_recipe(path) == path
    (tmp_path / "own-data").mkdir()
    assert find_recipe(Path("own-data")) == Path("own-data")


def test_all_packaged_recipes_are_valid() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert len(recipes) >= 5
    for path in recipes:
        if "rounds" in config.read_toml(path):
            assert read_loop(path, []).rounds
            continue
        assert read_recipe(path).stages
        assert read_recipe(path, smoke=True).stages
