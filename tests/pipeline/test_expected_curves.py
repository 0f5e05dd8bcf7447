"""Validation losses of a run are compared with the expected curves of its recipe."""

import json
from pathlib import Path

import pytest

from chatwright.pipeline import expected_curves
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import read_recipe
from chatwright.training.watcher import Progress, Watcher


def messages_for(directory: Path, settings: str, *evaluations: tuple[str, int, float]) -> list[str]:
    messages: list[str] = []
    watcher = expected_curves.with_comparison(
        Watcher(say=messages.append, warn=messages.append), directory / "r.toml", settings
    )
    for stage, step, loss in evaluations:
        watcher.progress(Progress(stage, step, 100, loss, 0, 0.0, 0.0, {"validation_loss": loss}))
    return messages


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    table = {"recipe": "abc", "band": 0.1, "curves": {"pretrain": [[50, 2.0], [100, 1.0]]}}
    (tmp_path / "r.expected.json").write_text(json.dumps(table))
    return tmp_path


def test_a_loss_inside_the_band_gives_no_message(directory: Path) -> None:
    assert (
        messages_for(
            directory,
            "abc",
            ("pretrain", 50, 2.19),
            ("pretrain", 100, 0.91),
            ("pretrain", 75, 9.0),
            ("sft", 50, 9.0),
        )
        == []
    )


@pytest.mark.parametrize(
    ("loss", "side"), [(1.11, "above"), (0.89, "below"), (float("inf"), "above")]
)
def test_a_loss_outside_the_band_gives_a_warning_with_the_band(
    directory: Path, loss: float, side: str
) -> None:
    [message] = messages_for(directory, "abc", ("pretrain", 100, loss))
    assert side in message
    assert "0.900 to 1.100" in message


def test_a_changed_recipe_is_not_compared_and_the_user_is_told(directory: Path) -> None:
    [message] = messages_for(directory, "other settings", ("pretrain", 100, 9.0))
    assert "other settings" in message


def test_the_error_for_a_damaged_file_names_the_file(directory: Path) -> None:
    (directory / "r.expected.json").write_text("{")
    with pytest.raises(ValueError, match=r"r\.expected\.json"):
        messages_for(directory, "abc")


def test_the_packaged_curves_have_the_hashes_of_the_packaged_recipes() -> None:
    """Runs of a recipe that was edited later would never be compared with its curves."""
    curves = list(packaged_recipe("starter").parent.glob("*.expected.json"))
    assert curves
    for path in curves:
        recipe = path.with_name(path.name.replace(".expected.json", ".toml"))
        shipped = expected_curves.read_expected_curves(recipe)
        assert shipped is not None
        assert shipped.recipe == read_recipe(recipe).settings_hash()
