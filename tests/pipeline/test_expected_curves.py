"""A run is compared with the curve its recipe ships: silent inside the band, a sentence outside it, nothing for a changed recipe."""

import json
from pathlib import Path

import pytest

from chatwright.pipeline import expected_curves
from chatwright.pipeline.recipe import packaged_recipe, read_recipe
from chatwright.training.watcher import Progress, Watcher


def heard(place: Path, settings: str, *evaluations: tuple[str, int, float]) -> list[str]:
    said: list[str] = []
    watcher = expected_curves.comparing(
        Watcher(say=said.append, warn=said.append), place / "r.toml", settings
    )
    for stage, step, loss in evaluations:
        watcher.progress(Progress(stage, step, 100, loss, 0, 0.0, 0.0, {"validation_loss": loss}))
    return said


@pytest.fixture
def place(tmp_path: Path) -> Path:
    table = {"recipe": "abc", "band": 0.1, "curves": {"pretrain": [[50, 2.0], [100, 1.0]]}}
    (tmp_path / "r.expected.json").write_text(json.dumps(table))
    return tmp_path


def test_inside_the_band_nothing_is_said(place: Path) -> None:
    assert (
        heard(
            place,
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
def test_outside_it_is_said_with_the_band(place: Path, loss: float, side: str) -> None:
    [sentence] = heard(place, "abc", ("pretrain", 100, loss))
    assert side in sentence
    assert "0.900 to 1.100" in sentence


def test_a_changed_recipe_is_not_compared_and_that_is_said(place: Path) -> None:
    [sentence] = heard(place, "other settings", ("pretrain", 100, 9.0))
    assert "other settings" in sentence


def test_a_broken_file_is_named(place: Path) -> None:
    (place / "r.expected.json").write_text("{")
    with pytest.raises(ValueError, match=r"r\.expected\.json"):
        heard(place, "abc")


def test_what_ships_belongs_to_the_recipe_as_it_ships() -> None:
    """A recipe edited without measuring its curve again would never be compared, silently for us and aloud for every user."""
    curves = list(packaged_recipe("starter").parent.glob("*.expected.json"))
    assert curves
    for path in curves:
        recipe = path.with_name(path.name.replace(".expected.json", ".toml"))
        shipped = expected_curves.read_expected_curves(recipe)
        assert shipped is not None
        assert shipped.recipe == read_recipe(recipe).settings_hash()
