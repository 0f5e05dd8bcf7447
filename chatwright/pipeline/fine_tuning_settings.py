"""The settings that fine-tuning chooses: learning rates by origin, sizes and steps by the data.

The functions compute; `fine_tuning.py` applies their results to the settings of a stage.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

from chatwright.checkpoint.origin import Origin

# Peak learning rates of AdamW by origin of the base and by whether an adapter is trained.
# Imported weights were trained for a long time with small rates: the rates of our own optimizers,
# a hundred times larger, destroy them within a few steps (docs/LOG.md).
LEARNING_RATES: dict[tuple[Origin, bool], float] = {
    ("imported", True): 5e-4,
    ("imported", False): 2e-5,
    ("trained", True): 5e-3,
}
MUON_FACTOR = 10.0
"""Muon's rate in units of AdamW's; at one rate, Muon moves a matrix entry far less than AdamW."""
ROUND_TO = 64
"""Rows are a multiple of this many tokens long."""
SHORTEST_ROW = 256
"""Tokens in a row, if the model's context allows: shorter rows make small, slow products."""
LARGEST_SHARE = 0.99
"""Rows hold this share of the conversations whole; longer ones lose their last turns."""
CONVERSATIONS_PER_STEP = ((1_000, 8), (10_000, 16), (math.inf, 32))
"""Conversations in a step, for data sets of at most so many conversations."""
FEWEST_STEPS = 30
MOST_PASSES = 10.0
"""Small data are read more often, until FEWEST_STEPS or this many passes are reached."""
MICRO_BATCH_TOKENS = 2048
"""Tokens in a micro-batch, unless a row is longer: more of them need memory and save no time."""
TOKENS_OF_A_PART = 128
"""What a micro-batch costs beside its tokens, in tokens: gradients are added to all weights."""
EVALUATIONS = 6
"""Evaluations of a run after the one before the first step."""
PATIENCE = 4
OLD_TEXT_BYTES = 20_000
"""Bytes of old texts that an evaluation measures: seconds for a model of 100 million weights."""
TEXT_ROW = 512
"""Tokens in a row of continued pretraining, if the model's context allows."""
TEXT_ROWS = 4
TEXT_PASSES = 1.0


def rate_settings(origin: Origin, is_adapter: bool, given: Collection[str]) -> dict[str, Any]:
    """Return learning rates that suit weights of this origin.

    The matrices are trained with AdamW, unless the user gave a learning rate for Muon.
    """
    rate = LEARNING_RATES[origin, is_adapter]
    wanted: dict[str, Any] = {
        "loop.optimizer.kind": "adamw",
        "loop.optimizer.learning_rate": rate,
        "loop.optimizer.weight_decay": 0.0,
    }
    if "loop.optimizer.matrix_learning_rate" in given:
        del wanted["loop.optimizer.kind"]
    elif "loop.optimizer.kind" in given:
        wanted["loop.optimizer.matrix_learning_rate"] = MUON_FACTOR * rate
    return wanted


def row_length(lengths: Sequence[int], needed: int, limit: int) -> int:
    """Return the length of a row that holds almost all conversations whole.

    Args:
        lengths: Tokens of each training conversation.
        needed: Tokens that a row must hold, so that validation is not empty.
        limit: The model's context length.
    """
    ordered = sorted(lengths)
    enough = ordered[math.ceil(LARGEST_SHARE * len(ordered)) - 1]
    rounded = math.ceil(max(enough, needed, SHORTEST_ROW) / ROUND_TO) * ROUND_TO
    return min(rounded, limit)


def fitting_row_length(length: int, row_bytes: int, budget: int) -> int:
    """Return `length`, or a shorter row whose activations fit into the memory `budget`.

    Activations are assumed to be proportional to the length; attention makes them shrink faster.
    """
    if row_bytes <= budget:
        return length
    return max(ROUND_TO, int(length * budget / row_bytes) // ROUND_TO * ROUND_TO)


def rows_per_step(lengths: Sequence[int], length: int) -> int:
    """Return the number of rows of `length` tokens that hold a step's conversations."""
    wanted = next(n for most, n in CONVERSATIONS_PER_STEP if len(lengths) <= most)
    mean = sum(min(n, length) for n in lengths) / len(lengths)
    return max(1, round(wanted * mean / length))


def micro_batches(rows: int, length: int, row_bytes: int, budget: int) -> int:
    """Return the smallest number of equal micro-batches that fit into memory, or one for a row."""
    fitting = min(MICRO_BATCH_TOKENS // length, budget // max(1, row_bytes))
    return next(n for n in range(1, rows + 1) if rows % n == 0 and rows // n <= max(1, fitting))


def parts_by_length(lengths: Sequence[int], rows: int, n_text: float, most_tokens: int) -> int:
    """Return the number of micro-batches for which a step of padded rows computes fewest tokens.

    Rows of similar length share a micro-batch and are padded to its longest.

    Args:
        lengths: Lengths of all rows of the data, in tokens.
        rows: Rows in a step.
        n_text: Texts in a row.
        most_tokens: Tokens in a micro-batch, unless a single row has more.
    """
    longest_first = sorted(lengths, reverse=True)
    typical = [longest_first[(2 * i + 1) * len(lengths) // (2 * rows)] for i in range(rows)]

    def cost(n_part: int) -> tuple[bool, float]:
        size = -(-rows // n_part)
        cut = [typical[start : start + size] for start in range(0, rows, size)]
        parts = [n_text * len(part) * part[0] for part in cut]
        is_large = parts[0] > most_tokens and n_part < rows
        return is_large, sum(parts) + TOKENS_OF_A_PART * len(parts)

    return min(range(1, rows + 1), key=cost)


def steps_for(passes: float, steps_per_pass: int) -> int:
    """Return the number of steps of so many passes over the data, more for small data."""
    enough = max(math.ceil(passes * steps_per_pass), FEWEST_STEPS)
    most = max(passes, MOST_PASSES) * steps_per_pass
    return min(enough, math.ceil(most))


def loop_settings(steps: int, steps_per_pass: int) -> dict[str, Any]:
    """Return warm-up, decay, evaluations and logging of a run of `steps` steps."""
    between = math.ceil(steps / EVALUATIONS)
    return {
        "loop.warmup": max(1, min(20, steps // 10)),
        "loop.decay_share": 0.9,
        "loop.evaluate_every": max(1, min(between, max(5, steps_per_pass))),
        "loop.log_every": 1 if steps <= 1_000 else 10,
        "loop.patience": PATIENCE,
    }
