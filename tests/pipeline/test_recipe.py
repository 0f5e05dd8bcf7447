"""A recipe does what is stale, skips what is done, goes on with what was stopped, and never deletes what it replaces."""

import json
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.errors import InputError
from chatwright.pipeline.content_hash import content_hash
from chatwright.pipeline.recipe import find_recipe, packaged_recipe, read_recipe
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
steps = 30
save_every = 10
evaluate_every = 40
precision = "float32"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
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


def go(place: Path, *overrides: str, watcher: Watcher | None = None) -> list[str]:
    said: list[str] = []
    watcher = watcher or Watcher(say=said.append)
    run_recipe(read_recipe(place / "r.toml", overrides), place / "out", place / "data", watcher)
    return said


def finished_stages(said: list[str]) -> list[str]:
    return [line.split()[1].rstrip(":") for line in said if line.endswith("already finished")]


def test_a_second_run_does_nothing_and_only_what_is_stale_runs_again(place: Path) -> None:
    assert finished_stages(go(place)) == []
    weights = (place / "out" / "sft" / "model" / "model.safetensors").read_bytes()
    assert finished_stages(go(place)) == ["tokenizer", "pretrain", "sft"]
    assert finished_stages(go(place, "sft.loop.save_every=3", "sft.loop.keep=5")) == [
        "tokenizer",
        "pretrain",
        "sft",
    ], "these decide nothing"
    said = go(place, "sft.loop.steps=31")
    assert finished_stages(said) == ["tokenizer", "pretrain"]
    assert any("kept as sft.old-1" in line for line in said)
    assert (place / "out" / "sft.old-1" / "model" / "model.safetensors").read_bytes() == weights
    (place / "data" / "b.txt").write_text(
        "a new text that was not there before, about a bird. " * 20
    )
    assert finished_stages(go(place, "sft.loop.steps=31")) == []


def test_stopped_in_any_stage_the_same_command_ends_with_the_same_weights(place: Path) -> None:
    go(place)
    whole = (place / "out" / "sft" / "model" / "model.safetensors").read_bytes()
    (place / "out").rename(place / "whole")
    for stage, step in (("pretrain", 3), ("sft", 7), ("sft", 19)):
        reached: list[Progress] = []

        def should_stop(
            stage: str = stage, step: int = step, reached: list[Progress] = reached
        ) -> bool:
            return bool(reached) and reached[-1].stage == stage and reached[-1].step >= step - 1

        with pytest.raises(Stopped):
            go(
                place,
                "pretrain.loop.log_every=1",
                "sft.loop.log_every=1",
                watcher=Watcher(progress=reached.append, should_stop=should_stop),
            )
    go(place, "pretrain.loop.log_every=1", "sft.loop.log_every=1")
    assert (place / "out" / "sft" / "model" / "model.safetensors").read_bytes() == whole


def test_every_stage_leaves_its_directory_and_the_model_opens(place: Path) -> None:
    go(place)
    for stage in ("pretrain", "sft"):
        folder = place / "out" / stage
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
    notes = json.loads((place / "out" / "sft" / "model" / "training.json").read_text())
    assert notes["trained_tokens"] > 0
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    assert 0.0 < notes["figures"]["stop_rate"] <= 1.0


def test_moved_and_named_from_elsewhere_a_build_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """{here} is the recipe's folder, whatever the current directory is; several places are read one after another."""
    (place / "r.toml").write_text(
        RECIPE.replace('"{data}"', '["{here}/data/a.txt", "{here}/data/chat.jsonl"]')
    )
    run_recipe(read_recipe(place / "r.toml"), place / "whole", None, Watcher())
    reached: list[Progress] = []
    watcher = Watcher(
        progress=reached.append,
        should_stop=lambda: bool(reached) and reached[-1].stage == "sft" and reached[-1].step >= 10,
    )
    with pytest.raises(Stopped):
        run_recipe(read_recipe(place / "r.toml"), place / "out", None, watcher)
    moved = place.rename(place.with_name("moved"))
    monkeypatch.chdir(moved)
    said: list[str] = []
    run_recipe(read_recipe(Path("r.toml")), Path("out"), None, Watcher(say=said.append))
    assert finished_stages(said) == ["tokenizer", "pretrain"]
    assert any(line.startswith("resuming at step") for line in said)
    assert (moved / "out/sft/model/model.safetensors").read_bytes() == (
        moved / "whole/sft/model/model.safetensors"
    ).read_bytes()


def test_conversations_alone_are_enough_to_pretrain_on(place: Path) -> None:
    written = RECIPE.replace('[pretrain]\ndata = "{data}"', "[pretrain]").replace(
        'texts = "{data}"\n', ""
    )
    (place / "r.toml").write_text(written)
    (place / "data" / "a.txt").unlink()
    said = go(place, "pretrain.chat_validation_share=0.2")
    assert any(line.startswith("training on 16 conversations") for line in said)
    notes = json.loads((place / "out" / "pretrain" / "model" / "training.json").read_text())
    assert notes["figures"]["validation_loss"] < notes["first_loss"]
    (place / "r.toml").write_text(written.replace('chat = "{data}"', ""))
    with pytest.raises(InputError, match="pretrain") as refused:
        read_recipe(place / "r.toml")
    assert refused.value.field == "data"


def test_overrides_change_only_what_they_name(place: Path) -> None:
    recipe = read_recipe(place / "r.toml", ["pretrain.loop.steps=9"])
    assert recipe.stages[1].table["loop"]["steps"] == 9
    assert recipe.stages[2].table["loop"]["steps"] == 30


def test_a_folders_hash_is_of_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = content_hash(tmp_path)
    (tmp_path / ".hidden").write_text("2")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("3")
    (tmp_path / "Thumbs.db").write_text("4")
    assert content_hash(tmp_path) == first, "what no reader looks at makes nothing stale"
    (tmp_path / "a").rename(tmp_path / "b")
    assert content_hash(tmp_path) != first


def test_a_recipe_that_ships_is_known_by_its_name_unless_something_here_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(Path("own-data")) == packaged_recipe("own-data")
    for here in (Path("own-data.toml"), Path("recipes/own-data"), Path("no-such-recipe")):
        assert find_recipe(here) == here
    (tmp_path / "own-data").mkdir()
    assert find_recipe(Path("own-data")) == Path("own-data")


def test_all_recipes_that_ship_are_well_formed() -> None:
    recipes = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert len(recipes) >= 5
    for path in recipes:
        assert read_recipe(path).stages
        assert read_recipe(path, smoke=True).stages
