"""Simulated raters: the measured noise equals the stated one, and hostile raters reverse."""

import math
import random

import pytest

from chatwright.errors import InputError
from chatwright.starter import make_fact_table
from chatwright.starter.feedback.prompts import StarterPrompt, draw_prompts
from chatwright.starter.feedback.rater_rules import RULES, TASTES, satisfaction
from chatwright.starter.feedback.raters import RaterSettings, make_raters
from chatwright.starter.messages import assistant, user

PROMPT = StarterPrompt("arithmetic", (user("What is 12 + 30?"),), assistant("12 plus 30 is 42."))
RIGHT, WRONG = assistant("12 plus 30 is 42."), assistant("12 plus 30 is 43.")
N = 4000


def share_right_first(settings: RaterSettings, index: int = 0) -> float:
    rater = make_raters(settings)[index]
    rng = random.Random("votes")
    return sum(rater.rank(PROMPT, [WRONG, RIGHT], rng).ranks == (2, 1) for _ in range(N)) / N


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.5])
def test_the_measured_share_of_reversed_votes_is_the_stated_noise(noise: float) -> None:
    error = 4 * math.sqrt(noise * (1 - noise) / N)
    assert share_right_first(RaterSettings(noise=noise)) == pytest.approx(1 - noise, abs=error)


def test_temperature_gives_bradley_terry() -> None:
    """P(a over b) = 1 / (1 + exp(-(u_a - u_b) / temperature)), Bradley and Terry 1952."""
    taste = next(iter(TASTES))
    gap = satisfaction(taste, PROMPT, RIGHT) - satisfaction(taste, PROMPT, WRONG)
    expected = 1 / (1 + math.exp(-gap / 0.1))
    measured = share_right_first(RaterSettings(noise=0, temperature=0.1))
    assert 0.7 < expected < 0.95
    assert measured == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / N))


def test_hostile_raters_reverse_every_order() -> None:
    settings = RaterSettings(n_rater=20, noise=0.0, hostile=0.05)
    raters = make_raters(settings)
    assert [rater.is_hostile for rater in raters] == [False] * 19 + [True]
    assert share_right_first(settings, 19) == 0.0
    assert share_right_first(settings, 0) == 1.0


def test_a_hostile_share_of_less_than_one_rater_is_an_error() -> None:
    with pytest.raises(InputError) as caught:
        RaterSettings(n_rater=5, hostile=0.05)
    assert caught.value.field == "hostile"


def test_equal_replies_are_a_tie_whatever_the_noise() -> None:
    rater = make_raters(RaterSettings(noise=0.5, temperature=1.0))[0]
    rng = random.Random(0)
    assert all(rater.rank(PROMPT, [RIGHT, RIGHT], rng).ranks == (1, 1) for _ in range(50))


def test_three_replies_are_ranked_by_satisfaction() -> None:
    worse = assistant("Mira lives in Marn")
    rater = make_raters(RaterSettings(noise=0.0))[0]
    ranks = rater.rank(PROMPT, [worse, RIGHT, WRONG], random.Random(0))
    assert ranks.ranks == (3, 1, 2)
    assert not ranks.are_all_bad
    assert rater.rank(PROMPT, [worse, worse], random.Random(0)).are_all_bad


def test_raters_differ_in_taste_and_are_called_simulated() -> None:
    raters = make_raters(RaterSettings(n_rater=5))
    assert all(rater.name.startswith("simulated") for rater in raters)
    assert len({rater.name for rater in raters}) == 5
    assert {rater.taste for rater in raters} == set(TASTES)


def test_the_reference_satisfies_the_rules_about_facts() -> None:
    for prompt in draw_prompts(make_fact_table(), "training", 150, seed=5):
        for name in ("facts", "same_decision", "finished"):
            if RULES[name].applies_to(prompt.kind):
                assert RULES[name].value(prompt, prompt.reference) == 1.0, (name, prompt)


@pytest.mark.parametrize(
    ("rule", "reply", "value"),
    [
        ("facts", "12 plus 30 is 43.", 2 / 3),  # two of three facts on both sides
        ("facts", "12 plus 30 is 42. 7!", 6 / 7),  # 2 * 3 / (3 + 4)
        ("finished", "12 plus 30 is", 0.0),
        ("no_repetition", "a b c a b c", 3 / 4),  # abc, bca, cab, abc
        ("length", "42.", 1 / 3),  # two words too few
    ],
)
def test_values_of_rules_by_hand(rule: str, reply: str, value: float) -> None:
    assert RULES[rule].value(PROMPT, assistant(reply)) == pytest.approx(value)
