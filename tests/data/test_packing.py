"""Packing puts every document whole into one row and separates the documents of a row."""

import random

import pytest
import torch

from chatwright.data.packing import PADDING, best_fit, pack_row


@pytest.mark.parametrize("seed", range(5))
def test_every_document_is_in_exactly_one_row_that_has_room(seed: int) -> None:
    lengths = [random.Random(f"{seed}-{i}").randint(1, 100) for i in range(300)]
    rows = best_fit(lengths, 100)
    assert sorted(i for row in rows for i in row) == list(range(300))
    assert all(sum(lengths[i] for i in row) <= 100 for row in rows)
    assert len(rows) <= 1.05 * sum(lengths) / 100 + 1  # best-fit decreasing wastes little


def test_best_fit_equals_rows_worked_out_by_hand() -> None:
    assert best_fit([5, 3, 8, 2], 8) == [[2], [0, 1], [3]]


def test_packed_row_equals_one_worked_out_by_hand() -> None:
    row = pack_row(
        [([1, 5, 6, 2], [False, False, True, True]), ([1, 7, 2], [False, True, True])], 7, pad=0
    )
    assert row.token_ids.tolist() == [1, 5, 6, 1, 7, 0, 0]
    assert row.targets.tolist() == [-100, 6, 2, 7, 2, -100, -100]
    assert row.document_ids.tolist() == [0, 0, 0, 1, 1, PADDING, PADDING]
    assert row.positions.tolist() == [0, 1, 2, 0, 1, 0, 0]
    assert row.token_ids.dtype == torch.long
