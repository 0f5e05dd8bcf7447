"""Rollouts as padded tables, one reply per row, and the model's log-probabilities of them.

A set of tables is a dictionary of (N, T) tensors. `token_ids` and `targets` are always in it;
targets are the reply's tokens, and -100 at the prompt and the padding. Other tables hold a number
at every target. All are saved in checkpoints, so that rollouts survive a kill.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from chatwright.model.gpt import GPT
from chatwright.training.cross_entropy import IGNORED
from chatwright.training.log_probs import token_log_probs
from chatwright.training.rollouts import Rollout
from chatwright.training.stage import MicroBatch

Tables = Mapping[str, Tensor]


def rollout_tables(
    rollouts: Sequence[Rollout], pad: int, device: torch.device
) -> dict[str, Tensor]:
    """Return the tables of these rollouts: token_ids, targets and the engine's sampled_log_probs.

    A causal model needs no mask for padding that follows the text.
    """
    length = max(len(r.prompt_ids) + len(r.reply_ids) for r in rollouts) - 1
    token_ids = torch.full((len(rollouts), length), pad)
    targets = torch.full((len(rollouts), length), IGNORED)
    log_probs = torch.zeros(len(rollouts), length)
    for row, rollout in enumerate(rollouts):
        ids = torch.tensor([*rollout.prompt_ids, *rollout.reply_ids])
        first = len(rollout.prompt_ids) - 1
        token_ids[row, : len(ids) - 1] = ids[:-1]
        targets[row, first : len(ids) - 1] = ids[first + 1 :]
        log_probs[row, first : len(ids) - 1] = torch.tensor(rollout.log_probs)
    tables = {"token_ids": token_ids, "targets": targets, "sampled_log_probs": log_probs}
    return {name: table.to(device) for name, table in tables.items()}


def reply_mask(tables: Tables) -> Tensor:
    """Return where the tokens of the replies are, (N, T)."""
    return tables["targets"] != IGNORED


def texts_of(tables: Tables) -> MicroBatch:
    """Return tokens and targets, for a forward pass."""
    return MicroBatch(tables["token_ids"], tables["targets"])


def select(tables: Tables, rows: Sequence[int]) -> dict[str, Tensor]:
    """Return these rows, cut at the last token of the longest."""
    index = torch.tensor(rows, device=tables["targets"].device)
    chosen = {name: table[index] for name, table in tables.items()}
    length = int(reply_mask(chosen).any(0).nonzero().max()) + 1
    return {name: table[:, :length] for name, table in chosen.items()}


def parts_by_length(tables: Tables, rows: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield the rows in parts of `size`, the longest texts first, which saves padding."""
    lengths = (reply_mask(tables).int() * torch.arange(1, tables["targets"].shape[1] + 1)
               .to(tables["targets"].device)).amax(1).tolist()  # fmt: skip
    ordered = sorted(rows, key=lambda row: lengths[row], reverse=True)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


@contextmanager
def without_dropout(model: GPT) -> Iterator[None]:
    """Switch dropout off inside the block; a ratio of two probabilities needs equal conditions."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.no_grad()
def measure(
    tables: Tables, size: int, function: Callable[[MicroBatch], Sequence[Tensor]], n: int
) -> list[Tensor]:
    """Return `n` tables of a function of the texts, computed for `size` rows at a time.

    Args:
        tables: The rollouts.
        size: Rows in one forward pass.
        function: From texts (B, T) to `n` tables (B, T).
        n: Number of tables that the function returns.
    """
    results = [torch.zeros_like(tables["sampled_log_probs"]) for _ in range(n)]
    for rows in parts_by_length(tables, range(len(tables["targets"])), size):
        texts = texts_of(select(tables, rows))
        for result, part in zip(results, function(texts), strict=True):
            result[torch.tensor(rows), : part.shape[1]] = part.to(result.dtype)
    return results


def log_probs_table(model: GPT, tables: Tables, size: int, dtype: torch.dtype) -> Tensor:
    """Return the model's log-probability of every reply token, (N, T), without dropout."""
    with without_dropout(model):
        [table] = measure(tables, size, lambda texts: [token_log_probs(model, texts, dtype)], 1)
    return table


def spread_metrics(tables: Tables, log_probs: Tensor) -> dict[str, float]:
    """Return how far the engine's log-probabilities are from the training forward's."""
    gap = (tables["sampled_log_probs"] - log_probs)[reply_mask(tables)].abs()
    return {"spread_mean": float(gap.mean()), "spread_max": float(gap.max())}


def importance_weights(tables: Tables, log_probs: Tensor, cap: float) -> Tensor:
    """Return min(p / p_engine, cap) of every reply token, (N, T).

    They correct for replies that the engine sampled with slightly other probabilities than those of
    the training forward (truncated importance sampling, Ionides 2008).
    """
    return (log_probs - tables["sampled_log_probs"]).exp().clamp(max=cap)
