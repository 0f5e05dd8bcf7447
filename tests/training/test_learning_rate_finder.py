"""The sweep ends when the loss diverges, suggests a lower rate, and draws the curve."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import LOOP, pretrain_stage, small_model
from torch import Tensor, nn

from chatwright.model.model import Model
from chatwright.training.checks import RunFailed
from chatwright.training.learning_rate_finder import DIVERGED, STEPS, suggest, sweep, write
from chatwright.training.optim.optimizer import OptimizerConfig
from chatwright.training.stage import Batch, Loss

ADAMW = OptimizerConfig(kind="adamw", learning_rate=1.0)
NO_CLIPPING = replace(LOOP, clip=0.0, optimizer=ADAMW)


class VectorModel(Model):
    """A model whose only weight is a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Parameter(torch.full((8,), 3.0))


class Quadratic:
    """A stage with the loss |vector|^2 / 8, which diverges at steps larger than the vector."""

    name = "quadratic"

    def next_batch(self, _: object) -> Batch[Any]:
        return Batch([None], 8)

    def loss(self, model: VectorModel, _: object) -> Loss:
        total: Tensor = model.vector.square().sum()
        return Loss(total, 8)

    def own_weights(self) -> dict[str, nn.Parameter]:
        return {}


def test_suggestion_is_a_third_of_the_factor_with_the_lowest_loss() -> None:
    result = sweep(VectorModel(), Quadratic(), NO_CLIPPING)
    lowest = result.smoothed.index(min(result.smoothed))
    assert 0 < lowest < len(result.smoothed) - 1
    assert result.suggested == pytest.approx(result.factors[lowest] / 3)
    assert result.losses[0] == pytest.approx(9.0)


def test_sweep_ends_when_the_loss_diverges_or_after_all_its_steps() -> None:
    result = sweep(VectorModel(), Quadratic(), NO_CLIPPING)
    has_diverged = result.smoothed[-1] > DIVERGED * min(result.smoothed)
    assert has_diverged or len(result.factors) == STEPS


def test_suggested_rates_are_the_suggested_factor_times_the_configured_rates() -> None:
    result = sweep(VectorModel(), Quadratic(), NO_CLIPPING)
    # The suggested rates are rounded to two digits.
    assert result.rates == {"learning_rate": pytest.approx(result.suggested, rel=0.05)}
    assert result.overrides() == f"loop.optimizer.learning_rate={result.suggested:.2g}"


def test_smoothed_loss_is_a_decaying_mean_with_corrected_start() -> None:
    result = sweep(VectorModel(), Quadratic(), replace(LOOP, optimizer=ADAMW), steps=5)
    weights = [0.9**2, 0.9, 1.0]
    total = sum(w * loss for w, loss in zip(weights, result.losses[:3], strict=True))
    assert result.smoothed[2] == pytest.approx(total / sum(weights))


def test_only_learning_rates_that_a_parameter_uses_are_suggested() -> None:
    muon = sweep(small_model(), pretrain_stage(), LOOP, steps=30)
    assert muon.rates.keys() == {
        "learning_rate",
        "matrix_learning_rate",
        "ngram_learning_rate",
    }
    plain = small_model(ngrams=(), n_previous=0)
    adamw = replace(LOOP, optimizer=OptimizerConfig(kind="adamw"))
    assert sweep(plain, pretrain_stage(), adamw, steps=30).rates.keys() == {"learning_rate"}


def test_sweep_in_which_no_rate_lowers_the_loss_fails() -> None:
    with pytest.raises(RunFailed) as failed:
        suggest([0.1, 1.0], [2.0, 2.5])
    assert failed.value.check == "learning_rate"


def test_curve_and_suggestion_are_written(tmp_path: Path) -> None:
    result = sweep(small_model(), pretrain_stage(), LOOP, steps=20)
    page = write(result, tmp_path / "out").read_text()
    assert "<svg" in page
    assert result.overrides() in page
    saved = json.loads((tmp_path / "out" / "learning-rate.json").read_text())
    assert saved["suggested"] == result.suggested
