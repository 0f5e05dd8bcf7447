"""Check that the bits of a reply do not depend on the other requests in the batch.

torch chooses kernels by processor, so the check runs on your machine with the model's own weights:

    linear layers   rows computed together and in smaller groups
    attention       queries at the ends of tiles and key blocks, up to the whole context
    model           a text read whole, in chunks, beside others and in another slot of the cache

It takes a fraction of a second for small models. A reported difference is certain; finding none is
strong evidence but no proof.
"""

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from chatwright.engine.forward import Forward
from chatwright.model import masks
from chatwright.model.attention import attend_tiled
from chatwright.model.linear import Linear


def find_difference(forward: Forward) -> str:
    """Describe the first difference between results alone and in a batch; "" if there is none."""
    if not forward.has_packed_kernels:
        return (
            f"this device ({forward.device.type}, {forward.model.embedding.weight.dtype}) has no "
            "kernels whose results are known to be independent of the batch"
        )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        differences = chain(
            _check_linears(forward, generator),
            _check_attention(forward, generator),
            _check_model(forward, generator),
        )
        return next(differences, "")


def _check_linears(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    n_row = 67
    checked: set[torch.Size] = set()
    for name, module in forward.model.named_modules():
        if not isinstance(module, Linear) or module.weight.shape in checked:
            continue
        checked.add(module.weight.shape)
        x = torch.randn(n_row, module.weight.shape[1], generator=generator)
        for activation in ("none", "silu", "gelu"):
            whole = module(x, activation)
            for start, end in ((0, 1), (1, 3), (3, 8), (8, 24), (24, n_row)):
                if not torch.equal(module(x[start:end], activation), whole[start:end]):
                    shape = tuple(module.weight.shape)
                    yield (
                        f"{name} {shape}: the results for {end - start} and for {n_row} rows "
                        "have different bits"
                    )


def _check_attention(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    config, block = forward.config, forward.key_block
    n_head, n_kv_head = config.n_head, config.n_kv_head
    n_keys = -(-config.context_length // block) * block
    n_query = min(config.context_length, 2 * masks.TILE_ROWS + 1)

    def draw(n: int, length: int) -> Tensor:
        return torch.randn(1, n, length, config.head_dim, generator=generator)

    k, v = draw(n_kv_head, n_keys), draw(n_kv_head, n_keys)
    # The end of the first key block, the end of the context, and a position between.
    first_block_end = min(block, config.context_length)
    for end in sorted({first_block_end, config.context_length, (config.context_length + 1) // 2}):
        start = max(0, end - n_query)
        q, positions = draw(n_head, end - start), torch.arange(start, end)[None]
        mask = masks.causal_tiles(positions, n_keys, n_head, n_kv_head)
        whole = attend_tiled(q, k, v, mask)
        n_visible = -(-end // block) * block
        for t in range(end - start):
            mask = masks.causal_tiles(positions[:, t : t + 1], n_visible, n_head, n_kv_head)
            alone = attend_tiled(q[:, :, t : t + 1], k[:, :, :n_visible], v[:, :, :n_visible], mask)
            if not torch.equal(alone[:, :, 0], whole[:, :, t]):
                yield (
                    f"attention with heads of size {config.head_dim} at position {start + t}: the "
                    f"results for one and for {end - start} queries have different bits"
                )


def _check_model(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    length = min(23, forward.config.context_length)
    shape = (2, length)
    first, second = torch.randint(forward.config.vocab_size, shape, generator=generator).tolist()
    cache = forward.make_cache(3)
    middle = length // 2
    forward.logits([first[:middle]], [0], cache, [1])
    if middle + 1 < length:
        forward.logits([first[middle:-1], second], [middle, 0], cache, [1, 2])
    for t in range(length):
        token_by_token = forward.logits([second[t : t + 1]], [t], cache, [0])
    together = forward.logits([second[-1:], first[-1:]], [length - 1] * 2, cache, [0, 1])
    alone = [forward.logits([text], [0])[0] for text in (second, first)]
    if not torch.equal(token_by_token[0], alone[0]):
        yield "the model's logits token by token with a cache and for the whole text differ"
    if not all(torch.equal(row, expected) for row, expected in zip(together, alone, strict=True)):
        yield "the model's logits for a text in a batch and alone differ"
