"""What PPO and GRPO share: updates per batch of rollouts, evaluation with alarms, exact resume."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.model.gpt import GPT
from chatwright.training.alarms import Alarms
from chatwright.training.rollout_source import RolloutSource
from chatwright.training.rollout_tables import log_probs_table, reply_mask, rollout_tables
from chatwright.training.rollouts import Rollout
from chatwright.training.stage import Stage, StageState

Micro = TypeVar("Micro")


class RolloutUse(Protocol):
    """The settings of how a batch of rollouts is used, which both stages have."""

    @property
    def epochs(self) -> int:
        """Times that every reply is used."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one epoch."""
        ...

    @property
    def rows(self) -> int:
        """Largest number of replies in one forward pass."""
        ...


class RolloutStage(Stage[GPT, Micro]):
    """A stage that samples replies, scores them, and uses each batch for several updates.

    Subclasses supply `next_batch`, `loss` and `check_start`.
    """

    def __init__(
        self,
        source: RolloutSource,
        reference: GPT,
        use: RolloutUse,
        alarms: Alarms,
        dtype: torch.dtype,
        seed: int,
    ) -> None:
        """Set up the stage.

        Args:
            source: Samples and scores replies.
            reference: The model before training, frozen.
            use: How rollouts are used.
            alarms: Stop a run that exploits its reward.
            dtype: Number format of the forward pass.
            seed: Seed of the order of updates.
        """
        self.source = source
        self.reference = reference
        self.use = use
        self.alarms = alarms
        self.dtype = dtype
        self.seed = seed
        self.tables: dict[str, Tensor] = {}
        """The rollouts in use."""
        self.metrics: dict[str, float] = {}
        """Figures of the rollouts in use."""
        self.n_update = 0
        """Optimizer steps prepared so far."""

    @property
    def position(self) -> int:
        """Number of updates that the rollouts in use have had; 0: new ones are due."""
        return self.n_update % (self.use.epochs * self.use.steps_per_epoch)

    def rows_of(self, update: int) -> list[int]:
        """Return the rows of an update: a share of the replies, in a new order each epoch."""
        n_row = len(self.tables["targets"])
        epoch, part = divmod(update, self.use.steps_per_epoch)
        draws = generator(self.seed, f"updates of rollouts {self.n_update - update} epoch {epoch}")
        order = torch.randperm(n_row, generator=draws).tolist()
        size = -(-n_row // self.use.steps_per_epoch)
        return order[part * size : (part + 1) * size]

    def log_probs(self, model: GPT, tables: Mapping[str, Tensor]) -> Tensor:
        """Return a model's log-probability of every reply token, (N, T)."""
        return log_probs_table(model, tables, self.use.rows, self.dtype)

    def evaluate(self, model: GPT) -> dict[str, float]:
        """Return reward, length, stop rate and KL divergence of replies to validation prompts."""
        figures = self.source.evaluate(model)
        figures["validation_kl"] = self._kl(model, self.source.evaluated)
        if "held_out_score" in figures:
            self.alarms.check_held_out(
                self.n_update,
                figures["validation_reward"],
                figures["held_out_score"],
                figures["held_out_error"],
            )
        return figures

    def _kl(self, model: GPT, rollouts: Sequence[Rollout]) -> float:
        """Return the estimated KL divergence from the reference, in nats per reply."""
        tables = rollout_tables(rollouts, self.source.tokenizer.control.pad, model.device)
        return kl_per_reply(
            self.log_probs(model, tables), self.log_probs(self.reference, tables), tables
        )

    def samples(self, model: GPT) -> list[tuple[str, str]]:
        """Return (prompt, reply) pairs of the last evaluation."""
        return self.source.samples()

    def describe(self) -> dict[str, Any]:
        """Return counts and hashes of the prompts and of models that score."""
        return self.source.describe()

    def own_numbers(self) -> dict[str, Any]:
        """Return what a subclass must keep besides; JSON values."""
        return {}

    def load_own_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Continue from what `own_numbers` returned."""

    def state(self) -> StageState:
        """Return rollouts that are still in use, data position, counters, the alarms' memory."""
        numbers = {
            "prompts": self.source.batches.state_dict(),
            "alarms": self.alarms.state(),
            "metrics": self.metrics,
            "n_update": self.n_update,
        }
        tables = dict(self.tables) if self.position else {}
        return StageState(numbers | self.own_numbers(), tables)

    def load_state(self, state: StageState) -> None:
        """Continue from a state that `state` returned."""
        numbers = state.numbers
        self.source.batches.load_state_dict(numbers["prompts"])
        self.alarms.load_state(numbers["alarms"])
        self.metrics = dict(numbers["metrics"])
        self.n_update = int(numbers["n_update"])
        self.load_own_numbers(numbers)
        device = self.reference.device
        self.tables = {name: table.to(device) for name, table in state.tensors.items()}


def kl_per_reply(log_probs: Tensor, reference: Tensor, tables: Mapping[str, Tensor]) -> float:
    """Return the mean over replies of the summed log p / p0, (N, T) each: an estimate in nats."""
    ratios = (log_probs - reference) * reply_mask(tables)
    return float(ratios.sum(1).mean())
