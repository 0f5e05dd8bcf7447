"""Fit the settings of fine-tuning to model, data and machine, and state the cost before it begins.

Imported models and adapters are fitted. A model that was trained here keeps the defaults of its
stage, because recipes that train from scratch rely on them. What the user sets is never changed.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch

from chatwright.checkpoint.origin import Origin
from chatwright.data.encoded.conversations import EncodedConversations, shorten
from chatwright.devices import available_memory
from chatwright.model.gpt import GPT
from chatwright.model.model import Model
from chatwright.pipeline import fine_tuning_settings as wanted
from chatwright.pipeline.chosen_settings import ChosenSettings
from chatwright.pipeline.training_cost import RowCost, RunPlan, estimate, measure_row
from chatwright.tokenizer.chat_template import Rendered
from chatwright.training.batches.packed import PackedBatches
from chatwright.training.stage import BatchConfig
from chatwright.training.watcher import Watcher

MEMORY_SHARE = 0.5
"""Share of the free memory that the activations of a micro-batch may take."""
TOO_FAST = 5.0
"""A learning rate this many times the chosen one gets a warning."""
TOO_MANY_PASSES = 20.0
FEW_CONVERSATIONS = 10
FEW_VALIDATION = 3
SHARE_LEFT_OUT = 0.05
"""A larger share of shortened or left-out conversations gets a warning."""

Config = TypeVar("Config")


class FineTuning:
    """Fits the settings of one run, in the order in which a stage needs them."""

    def __init__(
        self,
        choices: ChosenSettings,
        model: Model,
        origin: Origin,
        is_adapter: bool,
        watcher: Watcher,
    ) -> None:
        self.choices = choices
        self.model = model
        self.origin = origin
        self.is_adapter = is_adapter
        self.watcher = watcher
        self.row_cost: RowCost | None = None

    @property
    def is_fitted(self) -> bool:
        """Whether the settings of this run are fitted."""
        return self.origin == "imported" or self.is_adapter

    def fit_before_reading(self, config: Config) -> Config:
        """Return the settings with learning rates, and the sizes of validation and samples."""
        if not self.is_fitted:
            return config
        rates = wanted.rate_settings(self.origin, self.is_adapter, self.choices.given)
        sizes = {"validation_share": 0.1, "sample_tokens": 48, "stop_prompts": 8}
        return self.choices.apply(config, rates | sizes | _old_text_bytes(config))

    def fit_batches(
        self,
        config: Config,
        rows: Sequence[Rendered],
        held_out: Sequence[Rendered],
        pad: int,
        dtype: torch.dtype,
    ) -> Config:
        """Return the settings with rows that fit the data and the memory.

        Args:
            config: Settings with the fields `batches` and `loop`.
            rows: The training data.
            held_out: The validation data; its shortest conversation fits into a row.
            pad: The id that fills rows.
            dtype: Number format of the forward pass.
        """
        if not self.is_fitted:
            return config
        given: Any = config
        assert isinstance(self.model, GPT), "rows are fitted for decoders only"
        limit = self.model.config.context_length
        lengths = [min(len(row.token_ids) - 1, limit) for row in rows]
        needed = min(min(len(row.token_ids) - 1 for row in held_out), limit)
        length = given.batches.context_length or wanted.row_length(lengths, needed, limit)
        self.watcher.activity("measuring a training step")
        row = self._row(rows, length, pad, given.loop.seed)
        self.row_cost = measure_row(self.model, row, dtype, given.loop.seed)
        budget = int(MEMORY_SHARE * available_memory())
        if not given.batches.context_length:
            length = wanted.fitting_row_length(length, self.row_cost.n_byte, budget)
        n_row = given.batches.rows
        if "batches.rows" not in self.choices.given:
            n_row = wanted.rows_per_step(lengths, length)
        if "batches.accumulate" in self.choices.given:
            n_row = math.ceil(n_row / given.batches.accumulate) * given.batches.accumulate
        sizes = {
            "batches.context_length": length,
            "batches.rows": n_row,
            "batches.accumulate": wanted.micro_batches(n_row, length, self.row_cost.n_byte, budget),
        }
        return self.choices.apply(config, sizes)

    def _row(self, rows: Sequence[Rendered], length: int, pad: int, seed: int) -> Any:
        """Return one packed row of the training data."""
        some = [row for row in rows if len(row.token_ids) - 1 <= length][:256]
        config = BatchConfig(rows=1, context_length=length)
        packed = PackedBatches(some, pad, config, length, seed, self.model.device)
        return packed.next_batch().micro_batches[0]

    def fit_loop(self, config: Config, steps_per_pass: int, passes: float) -> Config:
        """Return the settings with the number of steps, and warm-up and evaluations to match."""
        if not self.is_fitted:
            return config
        steps = wanted.steps_for(passes, steps_per_pass)
        config = self.choices.apply(config, {"loop.steps": steps})
        fields: Any = config
        return self.choices.apply(config, wanted.loop_settings(fields.loop.steps, steps_per_pass))

    def fit_texts(self, config: Config) -> Config:
        """Return the settings of continued pretraining, with learning rates and the rows' size."""
        if not self.is_fitted:
            return config
        config = self.fit_rates(config)
        length = min(wanted.TEXT_ROW, self.model.config.context_length)
        sizes = {"batches.context_length": length, "batches.rows": wanted.TEXT_ROWS}
        return self.choices.apply(config, sizes | _old_text_bytes(config))

    def fit_rates(self, config: Config) -> Config:
        """Return the settings with learning rates that suit the weights."""
        if not self.is_fitted:
            return config
        rates = wanted.rate_settings(self.origin, self.is_adapter, self.choices.given)
        return self.choices.apply(config, rates)

    def fit_text_steps(self, config: Config, n_token: int) -> Config:
        """Return the settings with the number of steps for texts of `n_token` tokens."""
        fields: Any = config
        length = fields.batches.context_length or self.model.config.context_length
        steps_per_pass = math.ceil(n_token / (fields.batches.rows * length))
        return self.fit_and_state_loop(config, steps_per_pass, wanted.TEXT_PASSES)

    def fit_and_state_loop(self, config: Config, steps_per_pass: int, passes: float) -> Config:
        """Return the settings with the number of steps; say what was chosen, and warn."""
        config = self.fit_loop(config, steps_per_pass, passes)
        fields: Any = config
        if self.is_fitted:
            self.watcher.say(f"chosen for this model and data: {self.choices.describe()}")
        for warning in self._warnings(fields, fields.loop.steps / steps_per_pass):
            self.watcher.warn(warning)
        return config

    def report(
        self, config: Any, train: PackedBatches, validation: PackedBatches, n_train: int
    ) -> None:
        """State the choices, the passes over the data, and the time and memory that they take."""
        passes = config.loop.steps / train.n_step
        for warning in self._warnings(config, passes):
            self.watcher.warn(warning)
        if self.origin == "imported" and n_train < FEW_CONVERSATIONS:
            self.watcher.warn(
                f"There are only {n_train} training conversations: the model learns these answers "
                "and little else. Add conversations."
            )
        if not self.is_fitted:
            return
        self.watcher.say(f"chosen for this model and data: {self.choices.describe()}")
        assert self.row_cost is not None, "the rows were fitted before"
        n_validation = sum(len(rows) for rows in validation.rows_by_length)
        plan = RunPlan(
            steps=config.loop.steps,
            rows=config.batches.rows,
            rows_at_once=config.batches.rows // config.batches.accumulate,
            validation_rows=n_validation,
            evaluations=2 + (config.loop.steps - 1) // config.loop.evaluate_every,
            sampled_tokens=config.sample_tokens * (3 if config.stop_prompts else 1),
        )
        assert isinstance(self.model, GPT), "rows are fitted for decoders only"
        cost = estimate(self.model, self.row_cost, plan)
        free = available_memory()
        self.watcher.say(
            f"{config.loop.steps:,} steps are {passes:.1f} passes over {n_train:,} conversations: "
            f"{cost} ({free / 1e9:.1f} GB are free)"
        )
        if cost.n_byte > free:
            self.watcher.warn(
                f"The training needs about {cost.n_byte / 1e9:.1f} GB of memory and "
                f"{free / 1e9:.1f} GB are free. Lower batches.context_length, or raise "
                "batches.accumulate."
            )

    def _warnings(self, config: Any, passes: float) -> list[str]:
        """Return a warning for each setting that usually ruins a fine-tuned model."""
        if self.origin != "imported":
            return []
        warnings = [_rate_warning(config.loop.optimizer, self.origin, self.is_adapter)]
        if passes > TOO_MANY_PASSES:
            warnings.append(
                f"loop.steps={config.loop.steps} reads the data {passes:.0f} times. A model "
                f"memorizes data that it reads more than about {TOO_MANY_PASSES:.0f} times."
                + _stopping_note(config.loop.patience)
            )
        return [warning for warning in warnings if warning]


def shorten_to_rows(
    watcher: Watcher, read: EncodedConversations, part: str, length: int
) -> EncodedConversations:
    """Cut the conversations of a part to the length of a row.

    Say how many are shortened or left out. Warn if they are many.
    """
    shortened = shorten(read, length)
    n_all = len(shortened.conversations) + shortened.n_too_long
    n_lost = shortened.n_cut + shortened.n_too_long
    is_much = n_lost > SHARE_LEFT_OUT * n_all
    report = watcher.warn if is_much else watcher.say
    if n_lost > read.n_cut + read.n_too_long or is_much:
        report(
            f"{part}: {n_lost:,} of {n_all:,} conversations do not fit into {length:,} tokens "
            f"({shortened.n_too_long:,} are left out, {shortened.n_cut:,} shortened). "
            "batches.context_length sets the length"
        )
    return shortened


def warn_of_few(watcher: Watcher, n_validation: int) -> None:
    """Warn if so few conversations are kept for validation that the loss says little."""
    if n_validation < FEW_VALIDATION:
        watcher.warn(
            f"Only {n_validation} conversations are kept for validation, so the validation loss "
            "says little. Add conversations, or raise validation_share."
        )


def _rate_warning(optimizer: Any, origin: Origin, is_adapter: bool) -> str:
    """Return a warning if a learning rate in use is far above the one that suits the weights."""
    safe = wanted.LEARNING_RATES[origin, is_adapter]
    rates = {"learning_rate": (optimizer.learning_rate, safe)}
    if optimizer.kind == "muon":
        muon = (optimizer.matrix_learning_rate, wanted.MUON_FACTOR * safe)
        rates["matrix_learning_rate"] = muon
    for name, (rate, usual) in rates.items():
        if rate >= TOO_FAST * usual:
            return (
                f"loop.optimizer.{name}={rate:g} is {rate / usual:.0f} times the rate that suits "
                f"imported weights ({usual:g}): the model may forget what it knew."
            )
    return ""


def _old_text_bytes(config: Any) -> dict[str, int]:
    """Return how many bytes of old texts to measure, if the settings name old texts."""
    return {"old_texts_bytes": wanted.OLD_TEXT_BYTES} if config.old_texts else {}


def _stopping_note(patience: int) -> str:
    if not patience:
        return " Set loop.patience=4 to keep the best weights."
    return f" The run stops after {patience} evaluations without a better one and keeps the best."
