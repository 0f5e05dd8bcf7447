"""Compare the curves of a run with those measured earlier for its recipe.

The expected curves are in a file beside the recipe. recipes/NAME.expected.json holds

    {"recipe": hash of the settings,
     "band": 0.1, "curves": {"pretrain": [[step, loss], ...], ...},
     "figures": {"ppo": {"validation_reward": {"band": 0.2, "curve": [[step, value], ...]}}}}

`curves` are validation losses, and their band is a share of the expected loss. `figures` are other
figures of evaluations, such as reward, length and KL divergence of replies; each has a band in its
own unit, because it can be near 0. The expected value is printed beside the measured one, and the
report of the stage plots both; a value outside the band also gives a warning. A recipe with changed
settings has another hash; it is not compared, and the user gets a message.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory
from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.training.figure_curves import EXPECTED_FILE
from chatwright.training.watcher import Progress, Watcher

LOSS = "validation_loss"


@dataclass(frozen=True)
class ExpectedCurve:
    """One figure of a stage as it was measured."""

    values: Mapping[int, float]
    """Value by step."""
    band: float
    """Largest deviation without a warning."""
    is_relative: bool = False
    """Whether the band is a share of the expected value."""

    def limits(self, step: int) -> tuple[float, float]:
        """Return the lowest and highest value without a warning."""
        expected = self.values[step]
        width = self.band * abs(expected) if self.is_relative else self.band
        return expected - width, expected + width


@dataclass(frozen=True)
class ExpectedCurves:
    """Measured curves of a recipe."""

    recipe: str
    """Hash of the recipe's settings."""
    curves: Mapping[str, Mapping[str, ExpectedCurve]]
    """Curves by stage and figure."""

    def comparison(self, stage: str, step: int, figures: Mapping[str, float]) -> str:
        """Return measured and expected figures in one line, or "" if none was expected."""
        parts = [
            f"{_words(name)} {figures[name]:.3f} (expected {curve.values[step]:.3f})"
            for name, curve in self._curves_at(stage, step, figures).items()
        ]
        return f"{stage} step {step}: {', '.join(parts)}" if parts else ""

    def deviations(self, stage: str, step: int, figures: Mapping[str, float]) -> list[str]:
        """Return a warning for each figure outside its band."""
        warnings = []
        for name, curve in self._curves_at(stage, step, figures).items():
            low, high = curve.limits(step)
            value = figures[name]
            if low <= value <= high:
                continue
            side = "above" if value > high else "below"
            warnings.append(
                f"{stage} step {step}: the {_words(name)} {value:.3f} is {side} the expected band "
                f"of {low:.3f} to {high:.3f}. The run continues, but the model may not be as good "
                f"as the recipe states. Check this machine: {command_line('doctor')}"
            )
        return warnings

    def report_table(self, stage: str) -> dict[str, Any]:
        """Return the curves of a stage for its report: [step, lowest, expected, highest]."""
        return {
            name: {
                "curve": [
                    [step, low, value, high]
                    for step, value in sorted(curve.values.items())
                    for low, high in [curve.limits(step)]
                ]
            }
            for name, curve in self.curves.get(stage, {}).items()
        }

    def _curves_at(
        self, stage: str, step: int, figures: Mapping[str, float]
    ) -> dict[str, ExpectedCurve]:
        curves = self.curves.get(stage, {})
        return {n: c for n, c in curves.items() if n in figures and step in c.values}


def _words(figure: str) -> str:
    return figure.replace("_", " ")


def curves_file(recipe: Path) -> Path:
    """Return the path of a recipe's expected curves."""
    return recipe.with_suffix(".expected.json")


def read_expected_curves(recipe: Path) -> ExpectedCurves | None:
    """Read a recipe's expected curves; None if it has none.

    Raises:
        InputError: The file is damaged.
    """
    path = curves_file(recipe)
    if not path.is_file():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return ExpectedCurves(str(table["recipe"]), _read_curves(table))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: the file holds no expected curves ({type(error).__name__}: {error}).",
            remedy="Delete it to run without them.",
            field=str(path),
        ) from None


def _read_curves(table: Mapping[str, Any]) -> dict[str, dict[str, ExpectedCurve]]:
    curves: dict[str, dict[str, ExpectedCurve]] = {}
    for stage, points in table.get("curves", {}).items():
        loss = ExpectedCurve(_values(points), float(table["band"]), is_relative=True)
        curves.setdefault(stage, {})[LOSS] = loss
    for stage, figures in table.get("figures", {}).items():
        for name, entry in figures.items():
            curve = ExpectedCurve(_values(entry["curve"]), float(entry["band"]))
            curves.setdefault(stage, {})[name] = curve
    return curves


def _values(points: Any) -> dict[int, float]:
    return {int(step): float(value) for step, value in points}


def curves_for(recipe: Path, settings_hash: str, watcher: Watcher) -> ExpectedCurves | None:
    """Return the expected curves that fit a recipe; tell the watcher if they are for others.

    Args:
        recipe: The recipe file.
        settings_hash: Hash of the settings of this run.
        watcher: Receives the message.
    """
    expected = read_expected_curves(recipe)
    if expected is not None and expected.recipe != settings_hash:
        watcher.say(
            f"{recipe.name} has other settings than the measured ones (or --smoke), so the run is "
            f"not compared with {curves_file(recipe).name}"
        )
        return None
    return expected


def write_expected(run: Path, expected: ExpectedCurves | None, stage: str) -> None:
    """Write the curves of a stage into its run, for the report; none remove an earlier file."""
    file = run / EXPECTED_FILE
    if expected is None or not (table := expected.report_table(stage)):
        file.unlink(missing_ok=True)
    else:
        directory.write_text(file, json.dumps(table))


def with_comparison(watcher: Watcher, expected: ExpectedCurves | None, stage: str) -> Watcher:
    """Return a watcher that prints expected figures, and warns about those outside their band.

    `stage` is the stage's name in the recipe, which may hold several stages of one kind.
    """
    if expected is None:
        return watcher

    def progress(p: Progress) -> None:
        watcher.progress(p)
        line = expected.comparison(stage, p.step, p.evaluation)
        if line:
            watcher.say(line)
        for warning in expected.deviations(stage, p.step, p.evaluation):
            watcher.warn(warning)

    return replace(watcher, progress=progress)
