"""Check that the bits of a reply do not depend on the other requests in the batch.

torch chooses kernels by processor, so the check runs on your machine with the model's own weights:

    linear layers   rows computed together and in smaller groups
    attention       queries at the ends of tiles and key blocks, up to 32,768 keys
    model           a text read whole, in chunks, beside others and in another slot of the cache

Layers of one shape use one kernel. So one layer of each shape is computed, and the model is
computed with its first blocks only. A reported difference is certain; finding none is strong
evidence but no proof.
"""

import copy
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from typing import get_args

import torch
from torch import Tensor, nn

from chatwright.engine.forward import Forward
from chatwright.model import masks
from chatwright.model.linear import Linear, products
from chatwright.model.packed_weight import SERIAL_NUMBERS, FusedActivation, activate_rows
from chatwright.model.tiled_attention import attend_tiled

N_ROW = 67
"""Rows of the check of a linear layer: more than any tile of oneDNN's kernels, and odd."""
N_QUICK_ROW = 8
FUSED_ACTIVATIONS: tuple[FusedActivation, ...] = get_args(FusedActivation)
LONGEST_CHECKED = 32_768
"""Tokens. Attention computes block after block, so more keys repeat the same kernel."""
N_LAST = 4
"""Tokens at the end of a text that the check of the model reads one by one."""


def find_difference(forward: Forward) -> str:
    """Describe the first difference between results alone and in a batch; "" if there is none."""
    generator = torch.Generator().manual_seed(0)
    longest = min(forward.config.context_length, LONGEST_CHECKED)
    ends = (forward.key_block, longest, (longest + 1) // 2)
    return _no_kernels(forward) or _first(
        _check_linears(forward, N_ROW, generator),
        _check_activations(forward, generator),
        _check_attention(forward, [min(end, longest) for end in ends], generator),
        _check_model(_first_blocks(forward), generator),
    )


def find_difference_quickly(forward: Forward) -> str:
    """Make a small part of the check: a few rows, and attention to the first keys."""
    generator = torch.Generator().manual_seed(0)
    end = min(forward.key_block, forward.config.context_length)
    return _no_kernels(forward) or _first(
        _check_linears(forward, N_QUICK_ROW, generator),
        _check_attention(forward, [end], generator),
    )


def _no_kernels(forward: Forward) -> str:
    if forward.has_packed_kernels:
        return ""
    return (
        f"this device ({forward.device.type}, {forward.model.embedding.weight.dtype}) has no "
        "kernels whose results are known to be independent of the batch"
    )


@torch.no_grad()
def _first(*checks: Iterator[str]) -> str:
    return next(chain(*checks), "")


def _check_linears(forward: Forward, n_row: int, generator: torch.Generator) -> Iterator[str]:
    checked: set[tuple[type, tuple[int, int]]] = set()
    cuts = [cut for cut in (0, 1, 3, 8, 24, N_ROW) if cut <= n_row]
    for name, shape, product in products(forward.model):
        if (type(product.packed), shape) in checked:
            continue
        checked.add((type(product.packed), shape))
        n_out, n_in = shape
        x = torch.randn(n_row, n_in, generator=generator)
        # Only layers into the feed-forward network compute an activation.
        for activation in FUSED_ACTIVATIONS if n_out == forward.config.d_ff else ("none",):
            whole = product(x, activation)
            for start, end in pairwise(cuts):
                if not torch.equal(product(x[start:end], activation), whole[start:end]):
                    yield (
                        f"{name} {shape}: the results for {end - start} and for {n_row} "
                        "rows have different bits"
                    )
        if isinstance(product, Linear) and n_out == forward.config.d_ff:
            factor = torch.randn(n_row, n_out, generator=generator)
            whole = product.times(x, factor)
            for start, end in pairwise(cuts):
                if not torch.equal(
                    product.times(x[start:end], factor[start:end]), whole[start:end]
                ):
                    yield f"{name} {shape}: gated results depend on the number of rows"


def _check_activations(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    d_ff = forward.config.d_ff
    # Enough rows for several parts, and for several threads if parts were not cut.
    n_row = max(2 * SERIAL_NUMBERS // d_ff, N_ROW)
    x = 3 * torch.randn(n_row, d_ff, generator=generator)
    for activation in FUSED_ACTIVATIONS:
        whole = activate_rows(x, activation)
        for start, end in ((0, 1), (1, 8), (8, n_row - 3), (n_row - 3, n_row)):
            if not torch.equal(activate_rows(x[start:end], activation), whole[start:end]):
                yield f"{activation}: {end - start} and {n_row} rows have different bits"


def _check_attention(
    forward: Forward, ends: Sequence[int], generator: torch.Generator
) -> Iterator[str]:
    """Check queries that end at these positions, computed together and one by one."""
    config, block = forward.config, forward.key_block
    n_head, n_kv_head = config.n_head, config.n_kv_head
    n_keys = -(-max(ends) // block) * block
    n_query = min(max(ends), 2 * masks.TILE_ROWS + 1)

    def draw(n: int, length: int) -> Tensor:
        return torch.randn(1, n, length, config.head_dim, generator=generator)

    k, v = draw(n_kv_head, n_keys), draw(n_kv_head, n_keys)
    for end in sorted(set(ends)):
        start = max(0, end - n_query)
        q, positions = draw(n_head, end - start), torch.arange(start, end)[None]
        mask = masks.causal_tiles(positions, n_keys, n_head, n_kv_head)
        whole = attend_tiled(q, k, v, mask)
        n_visible = -(-end // block) * block
        # The first and last query of a tile, and the last of all, which is alone in its tile.
        for t in sorted({0, masks.TILE_ROWS - 1, masks.TILE_ROWS, n_query - 1}):
            if t >= end - start:
                continue
            mask = masks.causal_tiles(positions[:, t : t + 1], n_visible, n_head, n_kv_head)
            alone = attend_tiled(q[:, :, t : t + 1], k[:, :, :n_visible], v[:, :, :n_visible], mask)
            if not torch.equal(alone[:, :, 0], whole[:, :, t]):
                yield (
                    f"attention with heads of size {config.head_dim} at position {start + t}: the "
                    f"results for one and for {end - start} queries have different bits"
                )


def _first_blocks(forward: Forward) -> Forward:
    """Return a forward pass of the model's first blocks, at least one of each kind.

    Blocks differ in their window and in whether they rotate positions. The copy shares all weights.
    """
    config = forward.config
    kinds = [
        (config.window_of(layer), layer in config.nope_layers) for layer in range(config.n_layer)
    ]
    n_block = max(2, 1 + max(kinds.index(kind) for kind in set(kinds)))
    shortened = copy.copy(forward)
    shortened.model = copy.copy(forward.model)
    shortened.model._modules = dict(forward.model._modules)
    shortened.model.blocks = nn.ModuleList(list(forward.model.blocks)[:n_block])
    return shortened


def _check_model(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    length = min(23, forward.config.context_length)
    shape = (2, length)
    first, second = torch.randint(forward.config.vocab_size, shape, generator=generator).tolist()
    cache = forward.make_cache(3)
    middle, n_last = length // 2, min(N_LAST, length)
    forward.logits([first[:middle]], [0], cache, [1])
    if middle + 1 < length:
        forward.logits([first[middle:-1], second], [middle, 0], cache, [1, 2])
    if length > n_last:
        forward.logits([second[:-n_last]], [0], cache, [0])
    for t in range(length - n_last, length):
        token_by_token = forward.logits([second[t : t + 1]], [t], cache, [0])
    together = forward.logits([second[-1:], first[-1:]], [length - 1] * 2, cache, [0, 1])
    alone = [forward.logits([text], [0])[0] for text in (second, first)]
    if not torch.equal(token_by_token[0], alone[0]):
        yield "the model's logits token by token with a cache and for the whole text differ"
    if not all(torch.equal(row, expected) for row, expected in zip(together, alone, strict=True)):
        yield "the model's logits for a text in a batch and alone differ"
