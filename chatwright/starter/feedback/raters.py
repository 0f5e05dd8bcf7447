"""Simulated raters: programs that rank replies by rules that know the starter corpus.

    raters = make_raters(RaterSettings(n_rater=5, noise=0.1))
    raters[0].rank(prompt, replies, rng)  -> Ranks((2, 1), are_all_bad=False)

A rater's taste is the weight of each rule. Ranks are drawn from Plackett-Luce (for two replies,
Bradley-Terry) with the raters' `temperature`, then reversed with the probability `noise`. Hostile
raters always reverse. Every name begins with "simulated", and feedback from them is marked.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.starter.feedback.prompts import StarterPrompt
from chatwright.starter.feedback.rater_rules import RULES, TASTES, satisfaction

_SAME = 1e-9
"""Largest difference of satisfaction that counts as equal."""
_BAD_FACTS = 0.5
"""A reply whose value of the rule `facts` is below this is bad."""


@dataclass(frozen=True, kw_only=True)
class RaterSettings:
    """How many raters there are and how they err."""

    n_rater: int = 5
    """Number of raters; the tastes are dealt out in turn."""
    noise: float = 0.05
    """Probability that a rater reverses an order, for reasons of no interest."""
    temperature: float = 0.0
    """Scale of the random part of a rater's satisfaction, which is from 0 to 1. 0: none."""
    hostile: float = 0.0
    """Share of the raters who always reverse their order."""

    def __post_init__(self) -> None:
        for name, high in (("noise", 1.0), ("hostile", 1.0), ("temperature", math.inf)):
            if not 0 <= getattr(self, name) <= high:
                raise InputError(
                    f"{name} is {getattr(self, name)}, but it must be from 0 to {high:g}.",
                    remedy=f"Set {name}=0, or another value in this range.",
                    field=name,
                    value=getattr(self, name),
                )
        if self.n_rater < 1:
            raise InputError(
                f"n_rater is {self.n_rater}, but somebody must rate.",
                remedy="Set at least 1 rater.",
                field="n_rater",
                value=self.n_rater,
            )
        if self.hostile and not self.n_hostile:
            raise InputError(
                f"A share of {self.hostile:g} of {self.n_rater} raters is less than one rater.",
                remedy=f"Use at least {math.ceil(1 / self.hostile)} raters.",
                field="hostile",
                value=self.hostile,
            )

    @property
    def n_hostile(self) -> int:
        """Number of hostile raters: the share, rounded down."""
        return int(self.hostile * self.n_rater + _SAME)


@dataclass(frozen=True)
class Ranks:
    """A rater's ranks of replies: 1 is the best, and equal ranks are a tie."""

    ranks: tuple[int, ...]
    are_all_bad: bool


@dataclass(frozen=True)
class SimulatedRater:
    """A rater with one taste."""

    name: str
    taste: str
    noise: float
    temperature: float
    is_hostile: bool

    def rank(self, prompt: StarterPrompt, replies: Sequence[Message], rng: random.Random) -> Ranks:
        """Rank the replies to one prompt.

        Replies that satisfy equally are a tie, without any noise.
        """
        values = [satisfaction(self.taste, prompt, reply) for reply in replies]
        are_all_bad = self._are_all_bad(prompt, replies)
        # Drawn in every case, so that the draws for the next prompt do not depend on ties.
        noise = [self._gumbel(rng) for _ in replies]
        reverses = rng.random() < self.noise
        if max(values) - min(values) <= _SAME:
            return Ranks((1,) * len(replies), are_all_bad)
        # The order of values with Gumbel noise is a draw from Plackett-Luce (Yellott 1977).
        noisy = [value + added for value, added in zip(values, noise, strict=True)]
        if reverses != self.is_hostile:
            noisy = [-value for value in noisy]
        return Ranks(_dense_ranks(noisy), are_all_bad)

    def _gumbel(self, rng: random.Random) -> float:
        draw = rng.random()
        return -self.temperature * math.log(-math.log(draw or 0.5))

    def _are_all_bad(self, prompt: StarterPrompt, replies: Sequence[Message]) -> bool:
        facts = RULES["facts"]
        return facts.applies_to(prompt.kind) and all(
            facts.value(prompt, reply) < _BAD_FACTS for reply in replies
        )


def _dense_ranks(values: Sequence[float]) -> tuple[int, ...]:
    """Return 1 for the largest value, 2 for the next lower one, and so on."""
    levels = sorted({round(value, 9) for value in values}, reverse=True)
    return tuple(levels.index(round(value, 9)) + 1 for value in values)


def make_raters(settings: RaterSettings) -> tuple[SimulatedRater, ...]:
    """Make the raters; the hostile ones come last."""
    n_honest = settings.n_rater - settings.n_hostile
    return tuple(_make_rater(i, i >= n_honest, settings) for i in range(settings.n_rater))


def _make_rater(index: int, is_hostile: bool, settings: RaterSettings) -> SimulatedRater:
    taste = tuple(TASTES)[index % len(TASTES)]
    return SimulatedRater(
        name=f"simulated-{'hostile-' if is_hostile else ''}{taste}-{index + 1}",
        taste=taste,
        noise=settings.noise,
        temperature=settings.temperature,
        is_hostile=is_hostile,
    )
