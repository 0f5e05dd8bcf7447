"""How probable a model finds whole rows of token ids: the one place where evaluation turns logits into numbers.

Rows of different length share a batch, padded on the right; a causal model cannot see the padding. Log-probabilities are
taken in float32 whatever the model computes in, and summed in float64. The price is the full (B, T, V) logits per batch,
which `tokens_per_batch` bounds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

IGNORED = -100  # cross_entropy's own default for "no target here"


def log_likelihood(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    dtype: torch.dtype | None = None,
    tokens_per_batch: int = 4096,
) -> Tensor:
    """For every row, log p(row[1:] given row[0]) in nats, float64, on the CPU, in the order of `rows`.

    The obvious version: for each row, add up model(row[:-1]).log_softmax(-1)[t, row[t + 1]] over t.
    """
    for number, row in enumerate(rows):
        if len(row) < 2:
            raise ValueError(
                f"row {number} has {len(row)} token(s); a row needs a first token, which is given, and one to predict"
            )
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    result = torch.zeros(len(rows), dtype=torch.float64)
    # Rows of like length together: little padding, and the largest batch comes first, so memory runs out early or never.
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]), reverse=True)
    was_training = model.training
    model.eval()
    try:
        start = 0
        while start < len(order):
            length = len(rows[order[start]]) - 1
            batch = order[start : start + max(1, tokens_per_batch // length)]
            start += len(batch)
            inputs = torch.zeros(
                len(batch), length, dtype=torch.int64
            )  # (B, T); 0 is as good a padding as any
            targets = torch.full_like(inputs, IGNORED)
            for b, i in enumerate(batch):
                token_ids = torch.as_tensor(rows[i], dtype=torch.int64)
                inputs[b, : len(token_ids) - 1] = token_ids[:-1]
                targets[b, : len(token_ids) - 1] = token_ids[1:]
            with torch.no_grad():
                logits = model(inputs.to(device), dtype=dtype).float()  # (B, T, V)
                # Flat, because the vocabulary must lie last in memory: over a transposed (B, V, T) this is several times slower.
                nats = nn.functional.cross_entropy(
                    logits.flatten(0, 1), targets.to(device).flatten(), reduction="none"
                )  # (B * T)
            result[batch] = -nats.view_as(targets).double().sum(dim=1).cpu()
    finally:
        model.train(was_training)
    return result
