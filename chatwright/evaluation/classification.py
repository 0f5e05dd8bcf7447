"""Scores of a classifier: accuracy and macro-F1 with 95 % intervals, and F1 of each label.

Accuracy is a proportion, so it has a Wilson interval. Macro-F1 is not, so its interval comes from a
bootstrap: resample the texts from the confusion matrix (percentile bootstrap, Efron 1979). The seed
is fixed, so equal predictions give equal intervals.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.evaluation.interval import Share

N_RESAMPLE = 1000
QUANTILES = (0.025, 0.975)  # of a 95 % interval


@dataclass(frozen=True)
class LabelScores:
    """Scores of predictions against true labels."""

    accuracy: Share
    macro_f1: float
    """Mean of the labels' F1."""
    macro_f1_interval: tuple[float, float]
    f1: tuple[float, ...]
    """F1 of each label; 0 for a label that is neither true nor predicted in any text."""


def label_scores(predicted: Tensor, labels: Tensor, n_label: int) -> LabelScores:
    """Score predicted label indices (N,) against the true ones (N,)."""
    assert len(predicted) == len(labels) > 0, (
        "there must be a prediction for every true label, and at least one"
    )
    n = len(predicted)
    cell_indices = labels * n_label + predicted
    confusion = torch.bincount(cell_indices, minlength=n_label**2).double()  # (L * L,)
    f1 = f1_scores(confusion.view(1, n_label, n_label))  # (1, L)
    return LabelScores(
        Share(int((predicted == labels).sum()), n),
        float(macro_mean(f1)),
        _bootstrap_interval(confusion, n, n_label),
        tuple(f1[0].nan_to_num(0.0).tolist()),
    )


def _bootstrap_interval(confusion: Tensor, n: int, n_label: int) -> tuple[float, float]:
    """Compute the interval of macro-F1 from a confusion matrix (L * L,) of n texts."""
    draws = torch.multinomial(
        confusion / n, n * N_RESAMPLE, replacement=True, generator=generator(0, "resampled texts")
    ).view(N_RESAMPLE, n)
    counts = torch.zeros(N_RESAMPLE, n_label**2, dtype=torch.double)
    counts = counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.double))
    macro_f1 = macro_mean(f1_scores(counts.view(-1, n_label, n_label)))
    low, high = torch.quantile(macro_f1, torch.tensor(QUANTILES, dtype=torch.double)).tolist()
    return low, high


def f1_scores(confusion: Tensor) -> Tensor:
    """Compute 2 tp / (2 tp + fp + fn) of each label. (N, L true, L predicted) -> (N, L).

    It is NaN for a label that is neither true nor predicted.
    """
    true_positives = confusion.diagonal(dim1=1, dim2=2)
    return 2 * true_positives / (confusion.sum(1) + confusion.sum(2))


def macro_mean(f1: Tensor) -> Tensor:
    """Average over the labels whose F1 is not NaN. (N, L) -> (N,)."""
    return f1.nanmean(dim=1)
