"""The methods that learn from feedback, the data each needs, and how `auto` chooses one.

`METHODS` is the whole rule: `auto` takes the first method whose condition the feedback meets.
`chatwright improve --explain` prints the table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatwright.data.preferences import Correction, Feedback, Ranking, Thumb
from chatwright.errors import InputError

SMALL = 500
"""With fewer examples of the chosen method, an adapter is trained instead of all weights."""


@dataclass(frozen=True)
class FeedbackCounts:
    """What a set of feedback holds."""

    n_pair: int
    """Pairs of a better and a worse reply, from rankings and corrections."""
    n_up: int
    n_down: int
    n_tie: int
    """Rankings that prefer no reply."""
    raters: tuple[str, ...]

    @property
    def n_thumb(self) -> int:
        """Thumbs, up and down."""
        return self.n_up + self.n_down


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method: what it learns from, and when `auto` chooses it."""

    name: str
    """Its name, and that of the stage that optimizes the model."""
    kind: str
    """The kind of this stage."""
    learns_from: str
    """What it reads, for people."""
    min_pairs: int = 0
    """Smallest number of pairs it accepts."""
    min_thumbs: int = 0
    """Smallest number of thumbs it accepts; both directions must be among them."""
    auto_pairs: int | None = None
    """`auto` chooses it from this number of pairs on; None: never because of pairs."""
    uses_reward_model: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the stage that make it this method."""

    def accepts(self, counts: FeedbackCounts) -> bool:
        """Whether the feedback is enough."""
        has_both = self.min_thumbs == 0 or (counts.n_up > 0 and counts.n_down > 0)
        enough = counts.n_pair >= self.min_pairs and counts.n_thumb >= self.min_thumbs
        return enough and has_both

    def n_examples(self, counts: FeedbackCounts) -> int:
        """Return how many examples it learns from: thumbs, or pairs."""
        return counts.n_thumb if self.min_thumbs else counts.n_pair

    def is_chosen(self, counts: FeedbackCounts) -> bool:
        """Whether `auto` chooses it, if no method before it was chosen."""
        if not self.accepts(counts):
            return False
        if self.auto_pairs is not None:
            return counts.n_pair >= self.auto_pairs
        return self.min_thumbs > 0


METHODS: tuple[Method, ...] = (
    Method(
        name="ppo",
        kind="ppo",
        learns_from="its own replies, scored by a reward model of the pairs",
        min_pairs=200,
        auto_pairs=5000,
        uses_reward_model=True,
    ),
    Method(name="dpo", kind="dpo", learns_from="the pairs themselves", min_pairs=10, auto_pairs=10),
    Method(
        name="kto",
        kind="dpo",
        settings={"loss": "kto"},
        learns_from="single replies with thumbs up or down",
        min_thumbs=20,
    ),
    Method(
        name="grpo",
        kind="grpo",
        learns_from="its own replies, several to a prompt, scored by a reward model of the pairs",
        min_pairs=200,
        uses_reward_model=True,
    ),
)


def count(feedback: Iterable[Feedback]) -> FeedbackCounts:
    """Count pairs, thumbs, ties and raters."""
    items = list(feedback)
    rankings = [item for item in items if isinstance(item, Ranking)]
    thumbs = [item for item in items if isinstance(item, Thumb)]
    n_correction = sum(isinstance(item, Correction) for item in items)
    n_up = sum(thumb.is_up for thumb in thumbs)
    return FeedbackCounts(
        n_pair=sum(len(ranking.pairs()) for ranking in rankings) + n_correction,
        n_up=n_up,
        n_down=len(thumbs) - n_up,
        n_tie=sum(ranking.is_tie for ranking in rankings),
        raters=tuple(sorted({item.rater for item in items})),
    )


def choose(name: str, counts: FeedbackCounts) -> Method:
    """Return the method called `name`, or the one that `auto` chooses.

    Raises:
        InputError: The name is unknown, or the feedback is too small for the method.
    """
    names = [method.name for method in METHODS]
    if name not in ("auto", *names):
        raise InputError(
            f"method is {name!r}.",
            remedy=f"Choose auto or one of {', '.join(names)}.",
            field="method",
            value=name,
        )
    candidates = [m for m in METHODS if (m.is_chosen(counts) if name == "auto" else m.name == name)]
    if candidates and candidates[0].accepts(counts):
        return candidates[0]
    raise _too_small(name, counts)


def _too_small(name: str, counts: FeedbackCounts) -> InputError:
    wanted = [method for method in METHODS if name in ("auto", method.name)]
    needs = "; ".join(f"{method.name} needs {_smallest(method)}" for method in wanted)
    ties = f", and {counts.n_tie:,} ties, which prefer no reply" if counts.n_tie else ""
    return InputError(
        f"The feedback holds {counts.n_pair:,} pairs of a better and a worse reply, and "
        f"{counts.n_up:,} thumbs up and {counts.n_down:,} down{ties}. That is too little: {needs}.",
        remedy="Collect more feedback: chatwright rate DIR",
        field="feedback",
        value=counts.n_pair,
    )


def _smallest(method: Method) -> str:
    if method.min_thumbs:
        return f"{method.min_thumbs} thumbs, with both directions"
    return f"{method.min_pairs} pairs"


def explanation() -> list[tuple[str, str, str, str]]:
    """Return the table of the rule: method, what it learns from, smallest data, auto's choice."""
    rows: list[tuple[str, str, str, str]] = []
    for method in METHODS:
        if method.auto_pairs is not None:
            chosen = f"from {method.auto_pairs:,} pairs on"
        elif method.min_thumbs:
            chosen = f"from {method.min_thumbs} thumbs on, if there are fewer than 10 pairs"
        else:
            chosen = "never"
        rows.append((method.name, method.learns_from, _smallest(method), chosen))
    return rows
