"""The sweep finds where a known loss breaks, suggests a rate below that, and draws what it saw."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import LOOP, model, pretrain_stage
from torch import Tensor, nn

from chatwright.model.model import Model
from chatwright.training import learning_rate_finder
from chatwright.training.checks import RunFailed
from chatwright.training.learning_rate_finder import suggest, sweep, write
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stage import Batch, Loss


class Point(Model):
    """One vector, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.full((8,), 3.0))


class Bowl:
    """loss = |place|^2 / 8: every step of size r lowers it while r is small beside the distance left."""

    name = "bowl"

    def next_batch(self, _: object) -> Batch[Any]:
        return Batch([None], 8)

    def loss(self, point: Point, _: object) -> Loss:
        total: Tensor = point.place.square().sum()
        return Loss(total, 8)

    def own_weights(self) -> dict[str, Tensor]:
        return {}


ADAMW = OptimizerConfig(kind="adamw", learning_rate=1.0)


def test_the_loss_falls_then_breaks_and_the_suggestion_lies_before_that() -> None:
    found = sweep(Point(), Bowl(), replace(LOOP, clip=0.0, optimizer=ADAMW))
    lowest = found.smoothed.index(min(found.smoothed))
    assert 0 < lowest < len(found.smoothed) - 1
    assert found.suggested == pytest.approx(found.factors[lowest] / 3)
    assert found.losses[0] == pytest.approx(9.0)
    assert (
        found.smoothed[-1] > 1.5 * min(found.smoothed)
        or len(found.factors) == learning_rate_finder.STEPS
    )


def test_the_suggestion_as_settings_is_the_factor_times_the_settings() -> None:
    found = sweep(Point(), Bowl(), replace(LOOP, clip=0.0, optimizer=ADAMW))
    assert found.rates == {"learning_rate": pytest.approx(found.suggested, rel=0.05)}  # two digits
    assert found.overrides() == f"loop.optimizer.learning_rate={found.suggested:.2g}"


def test_smoothing_is_a_decaying_mean_corrected_for_its_beginning() -> None:
    found = sweep(Point(), Bowl(), replace(LOOP, optimizer=ADAMW), steps=5)
    weights = [0.9**2, 0.9, 1.0]
    expected = sum(w * loss for w, loss in zip(weights, found.losses[:3], strict=True)) / sum(
        weights
    )
    assert found.smoothed[2] == pytest.approx(expected)


def test_only_rates_that_move_the_model_are_suggested() -> None:
    assert sweep(model(), pretrain_stage(), LOOP, steps=30).rates.keys() == {
        "learning_rate",
        "matrix_learning_rate",
        "ngram_learning_rate",
    }
    plain = model(ngrams=(), n_previous=0)
    assert sweep(
        plain, pretrain_stage(), replace(LOOP, optimizer=OptimizerConfig(kind="adamw")), steps=30
    ).rates.keys() == {"learning_rate"}


def test_a_sweep_that_never_helps_says_so() -> None:
    with pytest.raises(RunFailed) as failed:
        suggest([0.1, 1.0], [2.0, 2.5])
    assert failed.value.check == "learning_rate"


def test_the_curve_and_the_figures_are_left_behind(tmp_path: Path) -> None:
    found = sweep(model(), pretrain_stage(), LOOP, steps=20)
    page = write(found, tmp_path / "out").read_text()
    assert "<svg" in page
    assert found.overrides() in page
    assert (
        json.loads((tmp_path / "out" / "learning-rate.json").read_text())["suggested"]
        == found.suggested
    )
