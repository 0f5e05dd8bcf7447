"""Running scale of rewards and the adaptive weight of the KL divergence."""

import json
import math
import statistics

import pytest

from chatwright.training.reward_shaping import KLController, RewardNormalizer

REWARDS = [0.1, -2.0, 3.5, 0.1, 7.25, -1.0, 0.3]


def test_mean_and_std_equal_those_of_all_rewards_at_once() -> None:
    normalizer = RewardNormalizer()
    normalizer.add(REWARDS[:3])
    normalizer.add(REWARDS[3:])
    assert normalizer.mean == pytest.approx(statistics.fmean(REWARDS))
    assert normalizer.std == pytest.approx(statistics.pstdev(REWARDS))
    expected = (3.5 - statistics.fmean(REWARDS)) / statistics.pstdev(REWARDS)
    assert normalizer.normalized([3.5]) == [pytest.approx(expected)]


def test_large_offsets_do_not_lose_the_variance() -> None:
    """The naive sum of squares loses all digits at an offset of 1e9; Welford's does not."""
    normalizer = RewardNormalizer()
    normalizer.add([1e9 + value for value in (4.0, 7.0, 13.0, 16.0)])
    assert normalizer.std == pytest.approx(math.sqrt(22.5))


def test_equal_rewards_give_no_signal_instead_of_infinity() -> None:
    normalizer = RewardNormalizer()
    normalizer.add([2.0, 2.0, 2.0])
    assert normalizer.normalized([2.0, 2.0]) == [0.0, 0.0]


def test_a_resumed_normalizer_has_the_same_bits() -> None:
    whole, first, second = RewardNormalizer(), RewardNormalizer(), RewardNormalizer()
    whole.add(REWARDS)
    first.add(REWARDS[:4])
    second.load_state(json.loads(json.dumps(first.state())))
    second.add(REWARDS[4:])
    assert second.normalized(REWARDS) == whole.normalized(REWARDS)


def test_the_weight_follows_the_papers_rule() -> None:
    """Ziegler et al. 2019, section 2.2, target 6: e is clipped to +-0.2, and K = 0.1."""
    controller = KLController(0.2, target=6.0)
    controller.update(12.0)  # e = 1, clipped to 0.2
    assert controller.weight == pytest.approx(0.2 * 1.02)
    controller.update(6.6)  # e = 0.1
    assert controller.weight == pytest.approx(0.2 * 1.02 * 1.01)
    controller.update(0.0)  # e = -1, clipped to -0.2
    assert controller.weight == pytest.approx(0.2 * 1.02 * 1.01 * 0.98)


def test_without_a_target_the_weight_stays() -> None:
    controller = KLController(0.2, target=0.0)
    controller.update(100.0)
    assert controller.weight == 0.2


def test_a_resumed_controller_has_the_same_weight() -> None:
    controller, resumed = KLController(0.2, 6.0), KLController(0.2, 6.0)
    controller.update(9.1)
    resumed.load_state(json.loads(json.dumps(controller.state())))
    assert resumed.weight == controller.weight
