"""How well labels are told: accuracy and F1, each with the interval its count allows.

Accuracy is a share and has Wilson's interval. The mean of the labels' F1 is none, so its interval comes from drawing the same number of texts
again from the table of what was told for what (percentile bootstrap, Efron 1979), always with the same draws.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.evaluation.interval import Share

N_RESAMPLE = 1000


@dataclass(frozen=True)
class LabelScores:
    accuracy: Share
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    f1: tuple[float, ...]  # of each label; 0 where a label was neither there nor told


def label_scores(told: Tensor, wanted: Tensor, n_label: int) -> LabelScores:
    """(N,) indices of labels, twice."""
    assert len(told) == len(wanted) > 0, "there must be something to score"
    n = len(told)
    table = torch.bincount(wanted * n_label + told, minlength=n_label**2).double()  # (L * L,)
    draws = torch.multinomial(
        table / n, n * N_RESAMPLE, replacement=True, generator=generator(0, "resampled texts")
    ).view(N_RESAMPLE, n)
    resampled = torch.zeros(N_RESAMPLE, n_label**2, dtype=torch.double).scatter_add_(
        1, draws, torch.ones_like(draws, dtype=torch.double)
    )
    low, high = torch.quantile(
        macro(f1_of(resampled.view(-1, n_label, n_label))),
        torch.tensor([0.025, 0.975], dtype=torch.double),
    ).tolist()
    f1 = f1_of(table.view(1, n_label, n_label))
    return LabelScores(
        Share(int((told == wanted).sum()), n),
        float(macro(f1)),
        (low, high),
        tuple(f1[0].nan_to_num(0.0).tolist()),
    )


def f1_of(tables: Tensor) -> Tensor:
    """2 tp / (2 tp + fp + fn) of each label; nan where it is neither there nor told. (N, L wanted, L told) -> (N, L)"""
    right = tables.diagonal(dim1=1, dim2=2)
    return 2 * right / (tables.sum(1) + tables.sum(2))


def macro(f1: Tensor) -> Tensor:
    """The mean over the labels that are there or were told. (N, L) -> (N,)"""
    return f1.nanmean(dim=1)
