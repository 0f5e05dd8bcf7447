"""Recipes with rounds: each round asks the served version, and no finished round is repeated."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright.checkpoint import registry
from chatwright.data.snapshot import read_snapshot
from chatwright.errors import InputError
from chatwright.pipeline.improve import loop as module
from chatwright.training.watcher import Stopped
from tests.pipeline.improve.planted_preference import QUICK, feedback
from tests.pipeline.run_command import chatwright

RECIPE = """
rounds = {rounds}
{collect}
[improve]
rules = "right_number"
prompts = "{prompts}"
"""


def write_recipe(folder: Path, rounds: int, collect: str = "") -> Path:
    text = RECIPE.format(
        rounds=rounds, collect=collect, prompts=(folder / "prompts.jsonl").as_posix()
    )
    (folder / "loop.toml").write_text(text)
    return folder / "loop.toml"


def run(folder: Path, recipe: Path, *options: object) -> str:
    settings = [f"improve.{setting}" for setting in QUICK]
    return chatwright("run", recipe, "--from", folder / "model", *options, *settings)


def test_one_round_with_given_feedback_is_an_improvement(folder: Path) -> None:
    recipe = write_recipe(folder, 1)
    run(folder, recipe, "--data", feedback(folder, lambda _: (1, 2)))
    assert registry.read(folder / "model").current.name == "v2"
    (results,) = (folder / "model" / "improve").glob("loop-*/rounds.json")
    (result,) = json.loads(results.read_text())["rounds"]
    assert (result["version"], result["is_promoted"]) == ("v2", True)
    assert "<svg" in results.with_name("report.html").read_text()


def test_stopped_rounds_are_continued_and_each_asks_the_served_version(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(folder, 2, "[collect]")
    given = [feedback(folder, lambda _: (1, 2), "one")]
    asked: list[str] = []

    def collect(_config: object, number: int, versions: Path, out: Path, _: object) -> None:
        asked.append(registry.read(versions).current.name)
        if number == 2 and len(asked) == 2:
            raise Stopped("here")
        if number == 2:
            weights = registry.read(versions).current.weights
            others = range(200, 320)  # one rater's two opinions of one prompt would not count
            given.append(feedback(folder, lambda _: (2, 1), "two", weights, prompts=others))
        shutil.copy(given[-1], out)

    monkeypatch.setattr(module, "_collect", collect)
    monkeypatch.setattr(module, "_compare_rounds", lambda *_: {})
    with pytest.raises(Stopped):
        run(folder, recipe)
    run(folder, recipe)
    run(folder, recipe)
    assert asked == ["v1", "v2", "v2"]
    read = registry.read(folder / "model")
    assert [event.kind for event in read.events] == ["promoted", "refused"]
    (pooled,) = (folder / "model/improve").glob("loop-*/round-2/all-feedback.jsonl")
    rounds = [read_snapshot(path).feedback for path in given]
    assert read_snapshot(pooled).feedback == rounds[0] + rounds[1]


@pytest.mark.parametrize(("rounds", "collect"), [(0, ""), (2, ""), (1, "[nonsense]")])
def test_wrong_recipes_are_refused(folder: Path, rounds: int, collect: str) -> None:
    recipe = write_recipe(folder, rounds, collect)
    with pytest.raises(InputError):
        run(folder, recipe, "--data", feedback(folder, lambda _: (1, 2)))
    with pytest.raises(InputError):
        run(folder, write_recipe(folder, 1))
