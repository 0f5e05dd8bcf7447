"""Masks equal the expected matrices, written out as rows of 0 and 1."""

import pytest
import torch

from chatwright.model import masks


def rows_as_text(mask: torch.Tensor) -> list[str]:
    """Write the mask of the first batch row as text, one line per query; 1: the key is visible."""
    return ["".join(str(int(allowed)) for allowed in line) for line in mask[0, 0]]


def test_a_causal_mask_lets_each_query_see_keys_up_to_its_position() -> None:
    assert rows_as_text(masks.causal(torch.tensor([[0, 2, 1]]), 4)) == ["1000", "1110", "1100"]


def test_keys_that_are_padding_are_hidden() -> None:
    mask = masks.padding(torch.tensor([2, 3]), 4)
    assert mask.shape == (2, 1, 1, 4)
    assert rows_as_text(mask) == ["1100"]
    assert rows_as_text(mask[1:]) == ["1110"]


def test_packed_documents_do_not_see_each_other() -> None:
    assert rows_as_text(masks.causal_documents(torch.tensor([[7, 7, 8, 8, 8]]))) == [
        "10000",
        "11000",
        "00100",
        "00110",
        "00111",
    ]


def test_a_window_counts_the_current_token() -> None:
    assert rows_as_text(masks.sliding(torch.tensor([[0, 1, 2, 3]]), 4, window=2)) == [
        "1000",
        "1100",
        "0110",
        "0011",
    ]
    whole = masks.sliding(torch.tensor([[0, 1, 2, 3]]), 4, window=4)
    assert torch.equal(whole, masks.causal(torch.tensor([[0, 1, 2, 3]]), 4))


@pytest.mark.parametrize("n_keys", [16, 2 * masks.KEY_BLOCK])
def test_tiles_hold_the_causal_mask_of_every_query_head(n_keys: int) -> None:
    positions, (n_head, n_kv_head) = torch.tensor([[3, 4, 5], [0, 1, n_keys - 1]]), (4, 2)
    tiled = masks.causal_tiles(positions, n_keys, n_head, n_kv_head)
    assert tiled.n_tile == 2  # 2 heads x 3 queries in tiles of 4
    assert tiled.block_size == min(n_keys, masks.KEY_BLOCK)
    blocks = tiled.bias.view(2, n_kv_head, tiled.n_block, -1, tiled.block_size) == 0
    flat = blocks.transpose(2, 3).reshape(2, n_kv_head, -1, n_keys)
    expected = masks.causal(positions, n_keys)  # (B, 1, T, S)
    for head in range(n_kv_head):
        assert torch.equal(flat[:, head, :6], expected[:, 0].repeat(1, 2, 1))
    assert flat.any(dim=-1).all(), "every row sees a key, those of padding too"
    sees_key = blocks.any(dim=-1)
    if tiled.hidden is None:
        assert sees_key.all()
    else:
        hidden = tiled.hidden.view(2, n_kv_head, tiled.n_block, -1)
        assert torch.equal(sees_key, hidden == 0)
        assert not sees_key.all()


def test_a_window_limits_causal_bool_and_tiled_masks() -> None:
    indices = torch.arange(4)[None]
    assert rows_as_text(masks.within(masks.CAUSAL, indices, 4, 2, 1, 1)) == [
        "1000",
        "1100",
        "0110",
        "0011",
    ]  # type: ignore[arg-type]
    two_documents = masks.causal_documents(torch.tensor([[0, 0, 1, 1]]))
    assert rows_as_text(masks.within(two_documents, indices, 4, 2, 1, 1)) == [
        "1000",
        "1100",
        "0010",
        "0011",
    ]  # type: ignore[arg-type]
    assert masks.within(masks.CAUSAL, indices, 4, 4, 1, 1) == masks.CAUSAL, (
        "a window as long as the text changes nothing, so the fast path stays"
    )
    positions = torch.tensor([[0, 5, 9]])
    tiled = masks.within(masks.causal_tiles(positions, 16, 2, 1), positions, 16, 4, 2, 1)
    assert isinstance(tiled, masks.TiledMask)
    assert torch.equal(
        masks.explicit(tiled, 3, 16, indices.device), masks.sliding(positions, 16, 4)
    )  # type: ignore[arg-type]
    assert torch.equal(
        tiled.bias[0].view(-1, 16)[:6] == 0, masks.sliding(positions.repeat(1, 2), 16, 4)[0, 0]
    )
    padding = torch.tensor([[True, False, False, False]]).expand(4, 4)[None, None]
    assert rows_as_text(masks.within(padding, indices, 4, 2, 1, 1)) == [
        "1000",
        "1000",
        "1000",
        "1000",
    ], "every query still sees a key"  # type: ignore[arg-type]


def test_all_kinds_of_masks_convert_to_the_same_bool_tensor() -> None:
    positions = torch.arange(5)[None]
    expected = masks.causal(positions, 5)
    assert torch.equal(masks.explicit(masks.CAUSAL, 5, 5, positions.device), expected)
    assert torch.equal(
        masks.explicit(masks.causal_tiles(positions, 16, 2, 1), 5, 5, positions.device), expected
    )  # type: ignore[arg-type]
    assert masks.explicit(None, 5, 5, positions.device) is None
    with pytest.raises(AssertionError):
        masks.explicit(masks.CAUSAL, 1, 5, positions.device)


@pytest.mark.parametrize(
    ("context", "block"), [(64, 64), (65, 80), (128, 128), (129, 128), (4096, 128)]
)
def test_the_key_block_is_128_or_the_context_rounded_up_to_16(context: int, block: int) -> None:
    assert masks.block_size(context) == block
