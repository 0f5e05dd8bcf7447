"""Each epoch reads every row once, in a new order; a resumed run reads the next row."""

import pytest
import torch

from chatwright.data.batches import Shuffled, Windows
from chatwright.errors import InputError


def test_each_epoch_is_a_new_permutation() -> None:
    rows = Shuffled(10, seed=1)
    epochs = [rows.take(10) for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert Shuffled(10, seed=1).take(10) == epochs[0]
    assert Shuffled(10, seed=2).take(10) != epochs[0]


@pytest.mark.parametrize(
    "make_source",
    [lambda: Shuffled(7, 1), lambda: Windows(torch.arange(50), 4, 1)],
    ids=["shuffled", "windows"],
)
@pytest.mark.parametrize("n_taken", [1, *range(3, 25, 3)])
def test_source_resumed_at_any_point_equals_an_uninterrupted_one(make_source, n_taken: int) -> None:
    uninterrupted = make_source()
    resumed = make_source()
    uninterrupted.take(n_taken)
    resumed.load_state_dict(uninterrupted.state_dict())
    for count in (1, 3, 8):
        expected = torch.as_tensor(uninterrupted.take(count))
        assert torch.equal(torch.as_tensor(resumed.take(count)), expected)


@pytest.mark.parametrize("length", [1, 3, 4, 7, 24, 25, 48, 49, 50, 200])
def test_windows_are_whole_and_disjoint_and_change_their_offset_each_epoch(length: int) -> None:
    windows = Windows(torch.arange(50), length, seed=3)
    starts_of_epochs = []
    for _ in range(6):
        rows = windows.take(windows.n)
        assert rows.shape == (windows.n, min(length, 49) + 1)
        assert torch.equal(
            rows - rows[:, :1], torch.arange(rows.shape[1]).expand_as(rows)
        )  # consecutive tokens of the stream
        targets = rows[:, 1:].flatten().tolist()
        assert len(set(targets)) == len(targets)
        starts_of_epochs.append(int(rows[:, 0].min()))
    missed = 49 - windows.n * windows.length
    assert missed < 2 * windows.length
    if length in (7, 24):
        assert len(set(starts_of_epochs)) > 1


def test_a_stream_of_one_token_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Windows(torch.arange(1), 4, 1)
    assert caught.value.field == "data"
