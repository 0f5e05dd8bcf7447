"""A canary is refused by bad votes, and not by good ones; its intervals hold at all times."""

import random

import pytest

from chatwright.server.feedback.canary import Canary, CanaryState, Votes


def run(seed: int, candidate_up: float, served_up: float, n_vote: int = 1_000) -> CanaryState:
    """Vote on the replies of both models until it is decided; each share of thumbs up is given."""
    canary = Canary("new", "old", share=0.5)
    draw = random.Random(seed)
    for _ in range(n_vote):
        weights, up = ("new", candidate_up) if canary.takes_next() else ("old", served_up)
        if canary.vote(weights, draw.random() < up) != "open":
            break
    return canary.state


@pytest.mark.parametrize("seed", range(20))
def test_planted_bad_votes_roll_back_and_good_votes_do_not(seed: int) -> None:
    assert run(seed, candidate_up=0.3, served_up=0.7) == "refused"
    assert run(seed, candidate_up=0.7, served_up=0.7) == "open"
    assert run(seed, candidate_up=0.9, served_up=0.5) == "preferred"


def test_looking_after_each_vote_rolls_an_equal_candidate_back_at_most_as_often_as_stated() -> None:
    wrong = sum(run(seed, 0.6, 0.6, 500) != "open" for seed in range(200))
    assert wrong <= 200 * 0.05
    # The positive control: intervals for one look would end far more of these canaries.
    assert sum(ends_with_one_look_intervals(seed) for seed in range(200)) > 200 * 0.05


def ends_with_one_look_intervals(seed: int) -> bool:
    votes = [Votes(), Votes()]
    draw = random.Random(seed)
    for number in range(500):
        chosen = votes[number % 2]
        chosen.n += 1
        chosen.n_up += draw.random() < 0.6
        if votes[1].n > 10:
            spread = 1.96 * (0.24 / votes[0].n + 0.24 / votes[1].n) ** 0.5
            if abs(votes[0].share - votes[1].share) > spread:
                return True
    return False


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.5, 0.9])
def test_the_candidate_answers_its_share_evenly(share: float) -> None:
    canary = Canary("new", "old", share)
    taken = [canary.takes_next() for _ in range(1_000)]
    assert abs(sum(taken) - 1_000 * share) <= 1
    for start in range(0, 1_000, 100):
        assert abs(sum(taken[start : start + 100]) - 100 * share) <= 1


def test_after_the_decision_nothing_goes_to_the_candidate_and_nothing_is_counted() -> None:
    canary = Canary("new", "old", 0.5)
    for _ in range(100):
        canary.vote("new", False)
        canary.vote("old", True)
    assert canary.state == "refused"
    metrics = canary.metrics()
    canary.vote("new", True)
    canary.vote("another model", True)
    assert canary.metrics() == metrics
    assert not any(canary.takes_next() for _ in range(10))
    assert metrics["candidate_high"] < metrics["served_low"]
