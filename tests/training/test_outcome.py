"""The comparison of a result with the start, and with the best evaluation."""

import math
from typing import Any

import pytest

from chatwright.training.loop_config import LoopConfig
from chatwright.training.outcome import Outcome, judge

NAN = float("nan")


def records(curve: list[float], name: str = "validation_loss") -> list[dict[str, Any]]:
    """Return a log with an evaluation every 10 steps, and training steps between them."""
    log: list[dict[str, Any]] = []
    for number, figure in enumerate(curve):
        log.append({"step": 10 * number, name: figure, "samples": []})
        log.append({"step": 10 * number + 1, "loss": 99.0, name: -1.0})
    return log


def outcome(curve: list[float], after: float | None = None, **settings: Any) -> Outcome:
    name = settings.get("monitor", "validation_loss")
    figures = {name: curve[-1] if after is None else after}
    judged = judge(records(curve, name), figures, LoopConfig(**settings))
    assert judged is not None
    return judged


def test_before_after_and_best_are_those_of_the_evaluations() -> None:
    judged = outcome([4.0, 2.0, 3.0], after=2.0, patience=3)
    assert (judged.before, judged.after, judged.best, judged.best_step) == (4.0, 2.0, 2.0, 10)
    assert judged.warning == ""


@pytest.mark.parametrize(
    ("curve", "settings", "is_warned"),
    [
        ([1.566, 1.9, 3.418], {}, True),
        ([1.566, 1.2, 1.085], {}, False),
        ([4.0, 2.0, 2.03], {}, False),
        ([4.0, 2.0, 2.05], {}, True),
        ([4.0, 4.5, 4.2], {}, True),
        ([4.0, 3.0, NAN], {}, True),
        ([0.5, 0.7, 0.9], {"monitor": "accuracy", "higher_is_better": True}, False),
        ([0.5, 0.7, 0.4], {"monitor": "accuracy", "higher_is_better": True}, True),
        ([0.5, 0.9, 0.7], {"monitor": "accuracy", "higher_is_better": True}, True),
    ],
)
def test_a_result_worse_than_the_start_or_the_best_evaluation_is_warned_about(
    curve: list[float], settings: dict[str, Any], is_warned: bool
) -> None:
    assert bool(outcome(curve, **settings).warning) == is_warned


def test_the_warning_states_both_figures() -> None:
    warning = outcome([1.566, 1.9, 3.418]).warning
    assert "1.5660" in warning
    assert "3.4180" in warning


def test_a_run_whose_best_weights_are_those_of_the_start_is_warned_about() -> None:
    """The result equals the start, so nothing was gained although nothing is worse."""
    judged = outcome([1.5, 1.6, 1.7], after=1.5, patience=4)
    assert judged.best_step == 0
    assert judged.warning


def test_forgetting_beyond_three_percent_is_warned_about() -> None:
    figures = {
        "validation_loss": 1.0,
        "old_bits_per_byte_before": 1.0,
        "old_bits_per_byte": 1.04,
        "forgotten": 0.04,
    }
    log = records([2.0, 1.0])
    judged = judge(log, figures, LoopConfig())
    assert judged is not None
    assert "1.040" in judged.warning
    judged = judge(log, figures | {"forgotten": 0.029}, LoopConfig())
    assert judged is not None
    assert judged.warning == ""


@pytest.mark.parametrize(("reward", "is_warned"), [(-0.89, True), (-0.1, False), (0.3, False)])
def test_chosen_replies_that_lose_probability_are_reported(reward: float, is_warned: bool) -> None:
    """A run with -0.89 lowered its validation loss from 0.69 to 0.52, and lost 70 % of pairs."""
    figures = {"validation_loss": 0.52, "chosen_reward": reward}
    judged = judge(records([0.69, 0.52]), figures, LoopConfig())
    assert judged is not None
    assert ("sft_weight" in judged.warning) == is_warned


def test_answers_given_word_for_word_are_noted_where_they_were_measured() -> None:
    judged = judge(records([2.0, 1.0]), {"validation_loss": 1.0, "exact_match": 0.25}, LoopConfig())
    assert judged is not None
    assert judged.exact_match == 0.25
    assert "25%" in judged.note
    judged = judge(records([2.0, 1.0]), {"validation_loss": 1.0}, LoopConfig())
    assert judged is not None
    assert judged.exact_match is None
    assert judged.note == ""


def test_without_the_monitored_figure_there_is_no_outcome() -> None:
    assert judge(records([1.0]), {"accuracy": 1.0}, LoopConfig()) is None
    assert judge([{"step": 1, "loss": 2.0}], {"validation_loss": 1.0}, LoopConfig()) is None


def test_nan_evaluations_are_never_the_best() -> None:
    assert outcome([NAN, 2.0, NAN, 3.0]).best == 2.0
    assert math.isnan(outcome([NAN, NAN]).best)
