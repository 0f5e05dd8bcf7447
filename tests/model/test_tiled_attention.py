"""Attention in tiles and blocks equals attention as a whole; padding does not change its bits."""

import pytest
import torch
from torch import Tensor

from chatwright.devices import generator
from chatwright.model import masks
from chatwright.model.attention import attend
from chatwright.model.masks import KEY_BLOCK
from chatwright.model.tiled_attention import attend_tiled


def draw(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(0, name))


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("length", [1, 3, 8, 17])
def test_tiled_attention_equals_causal_attention(n_head: int, n_kv_head: int, length: int) -> None:
    # The memory order is (B, T, H, Dh), as after a projection.
    q, k, v = (
        draw(2, length, heads, 8, name=name).transpose(1, 2)
        for heads, name in ((n_head, "q"), (n_kv_head, "k"), (n_kv_head, "v"))
    )
    positions = torch.arange(length).expand(2, length)
    tiled = attend_tiled(q, k, v, masks.causal_tiles(positions, 32, n_head, n_kv_head))
    torch.testing.assert_close(tiled, attend(q, k, v, masks.causal(positions, length)))


@pytest.mark.parametrize(("n_head", "n_kv_head"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("length", [1, 4, 9])
def test_a_tiled_mask_equals_the_bool_mask(n_head: int, n_kv_head: int, length: int) -> None:
    shapes = {"q": (3, length, n_head, 8), "k": (3, 32, n_kv_head, 8), "v": (3, 32, n_kv_head, 8)}
    q, k, v = (draw(*shape, name=name).transpose(1, 2) for name, shape in shapes.items())
    allowed = masks.padding(torch.tensor([32, 7, 1]), 32).expand(-1, -1, length, -1)
    tiled = masks.tile_mask(allowed, n_head, n_kv_head)
    torch.testing.assert_close(attend(q, k, v, tiled), attend(q, k, v, allowed))
    assert torch.equal(masks.explicit(tiled, length, 32, q.device), allowed)


@pytest.mark.parametrize(("n_head", "n_kv_head", "head_dim"), [(6, 2, 32), (4, 4, 64), (4, 1, 128)])
@pytest.mark.parametrize("n_keys", [KEY_BLOCK, 3 * KEY_BLOCK, 20 * KEY_BLOCK])
def test_several_blocks_of_keys_equal_all_keys(
    n_head: int, n_kv_head: int, head_dim: int, n_keys: int
) -> None:
    q = draw(2, n_head, 3, head_dim, name="q")
    k, v = (draw(2, n_kv_head, n_keys, head_dim, name=name) for name in "kv")
    positions = torch.tensor([[0, 5, n_keys - 1], [KEY_BLOCK - 1, KEY_BLOCK % n_keys, 7]])
    tiled = attend_tiled(q, k, v, masks.causal_tiles(positions, n_keys, n_head, n_kv_head))
    torch.testing.assert_close(tiled, attend(q, k, v, masks.causal(positions, n_keys)))


@pytest.mark.parametrize("head_dim", [32, 48, 64, 128])
@pytest.mark.parametrize("position", [3, 127, 128, 300, 2000])
def test_a_query_has_the_same_bits_with_any_padding_and_any_other_queries(
    head_dim: int, position: int
) -> None:
    n_head, n_kv_head, n_keys = 6, 2, 20 * KEY_BLOCK
    q = draw(3, n_head, 9, head_dim, name="q")
    k, v = (draw(3, n_kv_head, n_keys, head_dim, name=name) for name in "kv")
    positions = torch.tensor([[*range(8), position], [position] * 9, [position, *range(8)]])
    whole = attend_tiled(q, k, v, masks.causal_tiles(positions, n_keys, n_head, n_kv_head))
    n_visible = -(-(position + 1) // KEY_BLOCK) * KEY_BLOCK
    mask = masks.causal_tiles(torch.tensor([[position]]), n_visible, n_head, n_kv_head)
    for row, column in ((0, 8), (1, 4), (2, 0)):
        alone = attend_tiled(
            q[row : row + 1, :, column : column + 1],
            k[row : row + 1, :, :n_visible],
            v[row : row + 1, :, :n_visible],
            mask,
        )
        assert torch.equal(alone[0, :, 0], whole[row, :, column])
