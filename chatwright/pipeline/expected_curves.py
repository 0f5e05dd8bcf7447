"""Compare the validation losses of a run with those measured earlier for its recipe.

The expected losses are in a file beside the recipe. recipes/NAME.expected.json holds

    {"recipe": hash of the settings, "band": 0.1, "curves": {"pretrain": [[step, loss], ...], ...}}

A validation loss that differs from the expected one by more than the share `band` gives a warning.
A recipe with changed settings has another hash; it is not compared, and the user gets a message.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chatwright.commands import command_line
from chatwright.errors import InputError
from chatwright.training.watcher import Progress, Watcher


@dataclass(frozen=True)
class ExpectedCurves:
    """Measured validation losses of a recipe."""

    recipe: str
    """Hash of the recipe's settings."""
    band: float
    """Largest relative deviation without a warning."""
    curves: Mapping[str, Mapping[int, float]]
    """Validation loss by stage and step."""

    def deviation(self, stage: str, step: int, loss: float) -> str:
        """Return a warning for a loss outside the band, or "" inside it."""
        expected = self.curves.get(stage, {}).get(step)
        if expected is None or abs(loss - expected) <= self.band * expected:
            return ""
        side = "above" if loss > expected else "below"
        low = expected * (1 - self.band)
        high = expected * (1 + self.band)
        return (
            f"{stage} step {step}: the validation loss {loss:.3f} is {side} the expected band of "
            f"{low:.3f} to {high:.3f}. The run continues, but the model may not be as good as the "
            f"recipe states. Check this machine: {command_line('doctor')}"
        )


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
        curves = {
            stage: {int(step): float(loss) for step, loss in curve}
            for stage, curve in table["curves"].items()
        }
        return ExpectedCurves(str(table["recipe"]), float(table["band"]), curves)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: the file holds no expected curves ({type(error).__name__}: {error}).",
            remedy="Delete it to run without them.",
            field=str(path),
        ) from None


def with_comparison(watcher: Watcher, recipe: Path, settings_hash: str) -> Watcher:
    """Return a watcher that also warns about a validation loss outside the expected band."""
    expected = read_expected_curves(recipe)
    if expected is None:
        return watcher
    if expected.recipe != settings_hash:
        watcher.say(
            f"{recipe.name} has other settings than the measured ones (or --smoke), so the run is "
            f"not compared with {curves_file(recipe).name}"
        )
        return watcher

    def progress(p: Progress) -> None:
        watcher.progress(p)
        if "validation_loss" not in p.evaluation:
            return
        warning = expected.deviation(p.stage, p.step, p.evaluation["validation_loss"])
        if warning:
            watcher.warn(warning)

    return replace(watcher, progress=progress)
