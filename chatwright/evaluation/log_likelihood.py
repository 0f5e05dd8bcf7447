"""Log-likelihood of token sequences under a causal model.

Rows of similar length share a batch and are padded at the end, where a causal model does not see
the padding. Log-probabilities are float32 whatever dtype the model computes in, and sums are
float64. The memory cost is the logits (B, T, V) of a batch, which `tokens_per_batch` limits.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from chatwright.errors import InputError

IGNORED = -100  # the index that torch's cross_entropy ignores


def log_likelihood(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    dtype: torch.dtype | None = None,
    tokens_per_batch: int = 4096,
) -> Tensor:
    """Compute log p(row[1:] given row[0]) of each row, in nats. -> (N,), float64, on the CPU.

    Equal to the sum of model(row[:-1]).log_softmax(-1)[t, row[t + 1]] over all positions t.

    Raises:
        InputError: A row has fewer than two tokens.
    """
    for number, row in enumerate(rows):
        if len(row) < 2:
            raise InputError(
                f"Row {number} has {len(row)} token(s), but it needs at least two.",
                remedy="Remove the row.",
                field="rows",
                value=number,
            )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    result = torch.zeros(len(rows), dtype=torch.float64)
    was_training = model.training
    model.eval()
    try:
        for batch in _batches(rows, tokens_per_batch):
            inputs, targets = _padded([rows[i] for i in batch])  # (B, T) each
            with torch.no_grad():
                logits = model(inputs.to(device), dtype=dtype).float()  # (B, T, V)
                # Flatten: cross_entropy on transposed logits (B, V, T) is several times slower.
                nats = nn.functional.cross_entropy(
                    logits.flatten(0, 1), targets.to(device).flatten(), reduction="none"
                )  # (B * T,)
            result[batch] = -nats.view_as(targets).double().sum(dim=1).cpu()
    finally:
        model.train(was_training)
    return result


def _batches(rows: Sequence[Sequence[int]], tokens_per_batch: int) -> Iterator[list[int]]:
    """Group the indices of rows of similar length.

    The longest come first, so memory runs out at the first batch or never.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    start = 0
    while start < len(order):
        length = len(rows[order[start]]) - 1
        end = start + max(1, tokens_per_batch // length)
        yield order[start:end]
        start = end


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Pad a batch, whose longest row is first, to inputs and targets. (B, T) each."""
    inputs = torch.zeros(len(rows), len(rows[0]) - 1, dtype=torch.int64)
    targets = torch.full_like(inputs, IGNORED)
    for b, row in enumerate(rows):
        token_ids = torch.as_tensor(row, dtype=torch.int64)
        inputs[b, : len(token_ids) - 1] = token_ids[:-1]
        targets[b, : len(token_ids) - 1] = token_ids[1:]
    return inputs, targets
