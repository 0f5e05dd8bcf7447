"""The loss curve a recipe is expected to follow, shipped beside it: a run that leaves the band says so while it runs.

    recipes/NAME.expected.json: {"recipe": hash of the stages' settings, "band": 0.1, "curves": {"pretrain": [[step, loss], ...], ...}}

Curves are of the validation loss at the recipe's own evaluations. A recipe changed by a person is another one: nothing is compared, and that is
said.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from chatwright.training.watcher import Progress, Watcher


@dataclass(frozen=True)
class Expected:
    recipe: str
    band: float  # share of the expected loss by which a run may miss it
    curves: Mapping[str, Mapping[int, float]]  # stage -> step -> validation loss

    def judge(self, stage: str, step: int, loss: float) -> str:
        """A sentence where the loss is outside the band, "" where it is inside or nothing is expected."""
        expected = self.curves.get(stage, {}).get(step)
        if expected is None or abs(loss - expected) <= self.band * expected:
            return ""
        side = "above" if loss > expected else "below"
        return (
            f"{stage} step {step}: the validation loss {loss:.3f} is {side} the band of {expected * (1 - self.band):.3f} to "
            f"{expected * (1 + self.band):.3f} that this recipe was measured to keep. The run goes on; its result may not be what the "
            "recipe promises. See what this machine is: chatwright doctor"
        )


def place(recipe: Path) -> Path:
    return recipe.with_suffix(".expected.json")


def read(recipe: Path) -> Expected | None:
    path = place(recipe)
    if not path.is_file():
        return None
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        curves = {
            stage: {int(step): float(loss) for step, loss in curve}
            for stage, curve in table["curves"].items()
        }
        return Expected(str(table["recipe"]), float(table["band"]), curves)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not an expected curve ({type(error).__name__}: {error}). Delete it to run without one."
        ) from None


def watched(watcher: Watcher, recipe: Path, settings: str) -> Watcher:
    """The same watcher, which also says when a validation loss is outside what `recipe` ships."""
    expected = read(recipe)
    if expected is None:
        return watcher
    if expected.recipe != settings:
        watcher.say(
            f"not {recipe.name} as it ships (other settings, or --smoke), so the run is not compared with {place(recipe).name}"
        )
        return watcher

    def progress(p: Progress) -> None:
        watcher.progress(p)
        if "validation_loss" in p.evaluation and (
            sentence := expected.judge(p.stage, p.step, p.evaluation["validation_loss"])
        ):
            watcher.warn(sentence)

    return replace(watcher, progress=progress)
