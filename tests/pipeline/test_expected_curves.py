"""Curves of a run are compared with the expected curves of its recipe."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chatwright.pipeline import expected_curves
from chatwright.pipeline.packaged_recipes import packaged_recipe
from chatwright.pipeline.recipe import read_recipe
from chatwright.training.figure_curves import read_expected
from chatwright.training.watcher import Progress, Watcher


@dataclass
class Messages:
    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)


def messages_for(
    directory: Path, settings: str, *evaluations: tuple[str, int, dict[str, float]]
) -> Messages:
    messages = Messages()
    watcher = Watcher(say=messages.said.append, warn=messages.warned.append)
    expected = expected_curves.curves_for(directory / "r.toml", settings, watcher)
    for stage, step, figures in evaluations:
        compared = expected_curves.with_comparison(watcher, expected, stage)
        compared.progress(Progress("kind", step, 100, 1.0, 0, 0.0, 0.0, figures))
    return messages


def loss(value: float) -> dict[str, float]:
    return {"validation_loss": value}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    table = {
        "recipe": "abc",
        "band": 0.1,
        "curves": {"pretrain": [[50, 2.0], [100, 1.0]]},
        "figures": {
            "ppo": {
                "validation_reward": {"band": 0.2, "curve": [[0, 0.0], [20, 0.5]]},
                "validation_reply_tokens": {"band": 3.0, "curve": [[0, 12.0], [20, 10.0]]},
            }
        },
    }
    (tmp_path / "r.expected.json").write_text(json.dumps(table))
    return tmp_path


def test_measured_losses_are_printed_beside_the_expected_ones(directory: Path) -> None:
    messages = messages_for(
        directory,
        "abc",
        ("pretrain", 50, loss(2.19)),
        ("pretrain", 100, loss(0.91)),
        ("pretrain", 75, loss(9.0)),
        ("sft", 50, loss(9.0)),
    )
    assert messages.warned == []
    assert len(messages.said) == 2
    assert "2.190" in messages.said[0]
    assert "2.000" in messages.said[0]


@pytest.mark.parametrize(
    ("value", "side"), [(1.11, "above"), (0.89, "below"), (float("inf"), "above")]
)
def test_a_loss_outside_the_band_gives_a_warning_with_the_band(
    directory: Path, value: float, side: str
) -> None:
    [message] = messages_for(directory, "abc", ("pretrain", 100, loss(value))).warned
    assert side in message
    assert "0.900 to 1.100" in message


def test_rewards_and_lengths_have_bands_in_their_own_unit(directory: Path) -> None:
    """A share of an expected reward of 0 would allow no deviation at all."""
    inside = {"validation_reward": -0.19, "validation_reply_tokens": 14.9, "other": 1e9}
    messages = messages_for(directory, "abc", ("ppo", 0, inside))
    assert messages.warned == []
    [line] = messages.said
    assert "-0.190" in line
    assert "14.900" in line
    outside = {"validation_reward": 0.29, "validation_reply_tokens": 14.0}
    assert len(messages_for(directory, "abc", ("ppo", 20, outside)).warned) == 2


def test_the_report_gets_the_curves_with_their_bands(directory: Path) -> None:
    expected = expected_curves.read_expected_curves(directory / "r.toml")
    expected_curves.write_expected(directory, expected, "pretrain")
    table = read_expected(directory)
    assert table["validation_loss"][0] == pytest.approx((50, 1.8, 2.0, 2.2))
    expected_curves.write_expected(directory, expected, "ppo")
    assert read_expected(directory)["validation_reply_tokens"][1] == (20, 7.0, 10.0, 13.0)
    expected_curves.write_expected(directory, expected, "sft")
    assert read_expected(directory) == {}


def test_a_figure_that_is_not_a_number_is_outside_every_band(directory: Path) -> None:
    figures = {"validation_reward": float("nan")}
    assert len(messages_for(directory, "abc", ("ppo", 0, figures)).warned) == 1


def test_a_changed_recipe_is_not_compared_and_the_user_is_told(directory: Path) -> None:
    messages = messages_for(directory, "other settings", ("pretrain", 100, loss(9.0)))
    assert len(messages.said) == 1
    assert messages.warned == []


@pytest.mark.parametrize("text", ["{", "[]", '{"recipe": "a", "figures": {"ppo": {"x": {}}}}'])
def test_the_error_for_a_damaged_file_names_the_file(directory: Path, text: str) -> None:
    (directory / "r.expected.json").write_text(text)
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
