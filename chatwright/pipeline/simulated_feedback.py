"""Feedback from simulated raters on the starter model's replies. All of it is marked as simulated.

Prompts are drawn from the starter corpus, the model replies several times to each, and a simulated
rater ranks the different replies. A part of the prompts is ranked by two raters, to measure their
agreement.
The same model, settings and seed give the same feedback, times included.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from chatwright.chat.assistant import Assistant
from chatwright.data.preferences import Ranking
from chatwright.errors import InputError
from chatwright.pipeline.collect import Candidates, CollectConfig, collect
from chatwright.starter import FactTable
from chatwright.starter.feedback.prompts import StarterPrompt, draw_prompts
from chatwright.starter.feedback.raters import RaterSettings, SimulatedRater, make_raters

CHUNK = 128  # prompts that are sampled together
PROMPTS_PER_RANKING = 3  # prompts drawn for each ranking wanted; many get equal replies
FIRST_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""Time of the first ranking; each next one is a second later. No clock, so that runs repeat."""

Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """How much feedback is simulated, and how."""

    n_ranking: int = 500
    """Number of prompts whose replies are ranked."""
    overlap: float = 0.1
    """Share of these prompts that a second rater ranks too."""
    part: Literal["training", "validation"] = "training"
    """Which part of the prompts: for training, or for validating a reward model."""
    seed: int = 0
    """Seed of the prompts, the sampling and the raters."""
    raters: RaterSettings = field(default_factory=RaterSettings)
    """The simulated raters."""
    collect: CollectConfig = field(default_factory=CollectConfig)
    """How replies are sampled; its seed is replaced by `seed`."""

    def __post_init__(self) -> None:
        if self.n_ranking < 1 or not 0 <= self.overlap <= 1:
            raise InputError(
                f"n_ranking={self.n_ranking} overlap={self.overlap}: there must be at least one "
                "ranking, and the overlap is a share.",
                remedy="Set n_ranking=500 overlap=0.1, the defaults.",
                field="n_ranking",
                value=self.n_ranking,
            )


@dataclass(frozen=True)
class SimulatedFeedback:
    """Simulated rankings, and how many prompts gave none."""

    rankings: tuple[Ranking, ...]
    n_prompt: int
    """Number of prompts to which the model replied."""
    n_equal: int
    """Number of these prompts whose replies were all equal; nobody ranks them."""

    @property
    def n_tie(self) -> int:
        """Number of rankings that prefer no reply."""
        return sum(ranking.is_tie for ranking in self.rankings)


def simulate_feedback(
    assistant: Assistant,
    weights: str,
    table: FactTable,
    config: SimulationConfig,
    report: Report = lambda done, total: None,
) -> SimulatedFeedback:
    """Collect replies and rank them; `report` receives the number of ranked prompts and the aim.

    Raises InputError if the model's replies are equal for nearly all prompts.
    """
    return rank_candidates(sample_candidates(assistant, weights, table, config), config, report)


def rank_candidates(
    sampled: Iterable[tuple[StarterPrompt, Candidates]],
    config: SimulationConfig,
    report: Report = lambda done, total: None,
) -> SimulatedFeedback:
    """Let the simulated raters rank replies; see `simulate_feedback`."""
    raters = make_raters(config.raters)
    rng = random.Random(f"starter-feedback-votes-{config.seed}")
    rankings: list[Ranking] = []
    n_prompt = n_ranked = n_equal = 0
    for prompt, candidates in sampled:
        n_prompt += 1
        candidates = candidates.without_equal()
        if len(candidates.replies) < 2:
            n_equal += 1
            continue
        first = rng.randrange(len(raters))
        chosen = [raters[first]]
        if rng.random() < config.overlap and len(raters) > 1:
            chosen.append(raters[(first + 1 + rng.randrange(len(raters) - 1)) % len(raters)])
        for rater in chosen:
            rankings.append(_rank(rater, prompt, candidates, rng, len(rankings)))
        n_ranked += 1
        report(n_ranked, config.n_ranking)
        if n_ranked == config.n_ranking:
            return SimulatedFeedback(tuple(rankings), n_prompt, n_equal)
    raise InputError(
        f"Of {n_prompt} prompts, {n_equal} got equal replies, so only {n_ranked} of "
        f"{config.n_ranking} rankings could be made.",
        remedy="Raise the temperature, or ask for fewer pairs.",
        field="n_ranking",
        value=config.n_ranking,
    )


def sample_candidates(
    assistant: Assistant, weights: str, table: FactTable, config: SimulationConfig
) -> Iterator[tuple[StarterPrompt, Candidates]]:
    """Yield prompts with their replies, sampled a chunk at a time; several raters may rank them."""
    settings = CollectConfig(**{**vars(config.collect), "seed": config.seed})
    count = PROMPTS_PER_RANKING * config.n_ranking
    prompts = draw_prompts(table, config.part, count, config.seed)
    for start in range(0, len(prompts), CHUNK):
        chunk = prompts[start : start + CHUNK]
        messages = [prompt.messages for prompt in chunk]
        yield from zip(chunk, collect(assistant, weights, messages, settings, start), strict=True)


def _rank(
    rater: SimulatedRater,
    prompt: StarterPrompt,
    candidates: Candidates,
    rng: random.Random,
    number: int,
) -> Ranking:
    messages = [reply.message for reply in candidates.replies]
    ranks = rater.rank(prompt, messages, rng)
    return Ranking(
        prompt=candidates.prompt,
        rater=rater.name,
        time=FIRST_TIME + timedelta(seconds=number),
        is_simulated=True,
        replies=candidates.replies,
        ranks=ranks.ranks,
        are_all_bad=ranks.are_all_bad,
    )
