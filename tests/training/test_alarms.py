"""Every alarm finds the failure planted for it, and a healthy run trips none."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace

import pytest

from chatwright.errors import InputError
from chatwright.training.alarms import ADVICE, AlarmConfig, Alarms
from chatwright.training.checks import RunFailed
from chatwright.training.rollout_figures import RolloutFigures

HEALTHY = RolloutFigures(
    length=20.0,
    stop_rate=0.95,
    entropy=1.0,
    repetition=0.05,
    distinct=0.8,
    kl=0.0,
    reward=0.0,
)


def healthy_run(n_step: int = 60) -> list[RolloutFigures]:
    """Return a run that learns: moderate drift of every figure, with some noise."""
    return [
        replace(
            HEALTHY,
            length=20 + 6 * step / n_step + 2 * math.sin(step),
            stop_rate=0.95 - 0.1 * step / n_step,
            entropy=1.0 - 0.6 * step / n_step,
            repetition=0.05 + 0.03 * math.sin(2 * step),
            distinct=0.8 - 0.2 * step / n_step,
            kl=15 * step / n_step + 0.3 * math.cos(step) - 0.3,
            reward=step / n_step,
        )
        for step in range(n_step)
    ]


# For each alarm: how the last figures of an otherwise healthy run differ.
FAILURES: dict[str, list[dict[str, float]]] = {
    "kl": [{"kl": 70.0 + 10 * i} for i in range(8)],
    "negative_kl": [{"kl": -3.0} for _ in range(8)],
    "entropy": [{"entropy": 0.001} for _ in range(8)],
    "short": [{"length": 1.5} for _ in range(8)],
    "long": [{"length": 45.0} for _ in range(8)],
    "repetition": [{"repetition": 0.6} for _ in range(8)],
    "distinct": [{"distinct": 0.1} for _ in range(8)],
    "stop_rate": [{"stop_rate": 0.2} for _ in range(8)],
}


def with_failure(alarm: str) -> list[RolloutFigures]:
    healthy = healthy_run(20)
    return healthy + [replace(healthy[-1], **change) for change in FAILURES[alarm]]


def alarm_of(series: Iterable[RolloutFigures], config: AlarmConfig = AlarmConfig()) -> str:
    """Return the alarm that a series trips, or ""."""
    alarms = Alarms(config)
    try:
        for step, figures in enumerate(series):
            alarms.check(step, figures)
    except RunFailed as failure:
        return failure.check
    return ""


def test_a_healthy_run_trips_no_alarm() -> None:
    assert alarm_of(healthy_run()) == ""


@pytest.mark.parametrize("alarm", FAILURES)
def test_every_alarm_finds_its_failure(alarm: str) -> None:
    assert alarm_of(with_failure(alarm)) == alarm


@pytest.mark.parametrize("alarm", FAILURES)
def test_every_alarm_can_be_switched_off_by_name(alarm: str) -> None:
    off = AlarmConfig(**{alarm: 0})
    assert alarm_of(with_failure(alarm), off) == ""


def test_all_alarms_can_be_switched_off() -> None:
    for alarm in FAILURES:
        assert alarm_of(with_failure(alarm), AlarmConfig(is_on=False)) == ""


@pytest.mark.parametrize("alarm", FAILURES)
def test_fewer_steps_than_the_limit_trip_nothing(alarm: str) -> None:
    healthy = healthy_run(20)
    bad = [replace(healthy[-1], **change) for change in FAILURES[alarm]]
    limit = AlarmConfig().batches
    series = [*healthy, *bad[: limit - 1], healthy[-1], *bad[: limit - 1], healthy[-1]]
    assert alarm_of(series) == ""


def test_a_large_divergence_that_shrinks_is_no_failure() -> None:
    series = [replace(HEALTHY, kl=100.0 - step) for step in range(10)]
    assert alarm_of([HEALTHY, *series]) == ""


def test_a_model_whose_replies_are_short_from_the_start_may_stay_so() -> None:
    """Arithmetic: replies of two tokens, and after learning the model is rather sure of them."""
    start = replace(HEALTHY, length=2.0, entropy=0.5)
    assert alarm_of([start] * 4 + [replace(start, length=1.6, entropy=0.02)] * 20) == ""
    assert alarm_of([start] * 4 + [replace(start, length=0.2)] * 20) == "short"


def test_figures_that_were_not_measured_trip_nothing() -> None:
    assert alarm_of([RolloutFigures(length=20.0)] * 20) == ""


def hacked_scores() -> list[tuple[float, float]]:
    """Return (reward, held-out score): both rise, then the score falls while the reward rises."""
    return [(0.0, 0.5), (0.2, 0.6), (0.4, 0.65), (0.6, 0.58), (0.8, 0.5), (1.0, 0.4)]


def held_out_failure(scores: Iterable[tuple[float, float]], error: float = 0.0) -> int | None:
    """Return the evaluation that trips the alarm, or None."""
    alarms = Alarms()
    for step, (reward, score) in enumerate(scores):
        try:
            alarms.check_held_out(step, reward, score, error)
        except RunFailed as failure:
            return step if failure.check == "held_out" else None
    return None


def test_a_reward_that_rises_while_the_held_out_score_falls_is_found() -> None:
    # 0.58 and 0.5 are both more than 0.05 below the best score, 0.65.
    assert held_out_failure(hacked_scores()) == 4


def test_falls_within_the_noise_or_with_the_reward_are_not_hacking() -> None:
    assert held_out_failure(hacked_scores(), error=0.2) is None
    assert held_out_failure([(reward, 0.5 + reward) for reward, _ in hacked_scores()]) is None
    both_fall = [(1.0 - reward, score) for reward, score in hacked_scores()]
    assert held_out_failure(both_fall) is None


@pytest.mark.parametrize("alarm", FAILURES)
def test_resumed_alarms_act_as_uninterrupted_ones(alarm: str) -> None:
    series = with_failure(alarm)
    for stop in range(1, len(series)):
        alarms = Alarms()
        tripped = -1
        for step, figures in enumerate(series):
            if step == stop:
                state = json.loads(json.dumps(alarms.state()))
                alarms = Alarms()
                alarms.load_state(state)
            try:
                alarms.check(step, figures)
            except RunFailed:
                tripped = step
                break
        assert tripped == 20 + AlarmConfig().batches - 1


@pytest.mark.parametrize("name", ["batches", *ADVICE])
def test_wrong_limits_are_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        AlarmConfig(**{name: -1})
    assert caught.value.field == f"alarms.{name}"
