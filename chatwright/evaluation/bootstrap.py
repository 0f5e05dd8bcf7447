"""The bootstrap: an interval of a statistic from resampled clusters (Efron 1979).

Replies to one prompt resemble each other, so the clusters (prompts), not the replies, are drawn
with replacement. The interval is that of the percentiles. With fewer than about 30 clusters it is
too narrow.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.devices import generator

N_RESAMPLE = 2000
QUANTILES = (0.025, 0.975)  # of a 95 % interval


def resample(n_cluster: int, seed: int = 0, n_resample: int = N_RESAMPLE) -> Tensor:
    """Return how often each cluster is drawn in each resample, (R, C) float64."""
    draws = torch.randint(
        n_cluster, (n_resample, n_cluster), generator=generator(seed, "resampled clusters")
    )
    counts = torch.zeros(n_resample, n_cluster, dtype=torch.float64)
    return counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))


def percentiles(values: Tensor) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of resampled values (R,)."""
    low, high = torch.quantile(values, torch.tensor(QUANTILES, dtype=values.dtype)).tolist()
    return low, high


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of sum(numerators) / sum(denominators), one of each per cluster.

    Denominators are positive.
    """
    counts = resample(len(numerators), seed)  # (R, C)
    sums = counts @ torch.tensor(numerators, dtype=torch.float64)
    return percentiles(sums / (counts @ torch.tensor(denominators, dtype=torch.float64)))
