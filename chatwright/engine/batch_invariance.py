"""A short proof, on the machine at hand and with the model's own weights, that company does not change bits.

Kernels are chosen by processor, so the promise "a reply alone equals the same reply in a crowd" is checked where it is made:
    the model      the same text read whole, in chunks, beside others and in another row of the cache
    each linear    its rows computed together and in smaller groups
    attention      queries at the borders of tiles and key blocks, up to the model's whole context
It takes a fraction of a second for small models. It is a check, not a proof for every input: what it finds is certain, what it
does not find is only unlikely.
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
    """The first place where bits depend on company, as a sentence; "" if none was found."""
    if not forward.is_exact:
        return (
            f"this device ({forward.device.type}, {forward.model.embedding.weight.dtype}) has no kernels "
            "whose results are known to be independent of the batch"
        )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        findings = chain(
            _check_linears(forward, generator),
            _check_attention(forward, generator),
            _check_model(forward, generator),
        )
        return next(findings, "")


def _check_linears(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    n_slot, done = 67, set()
    for name, module in forward.model.named_modules():
        if not isinstance(module, Linear) or module.weight.shape in done:
            continue
        done.add(module.weight.shape)
        x = torch.randn(n_slot, module.weight.shape[1], generator=generator)
        for activation in ("none", "silu", "gelu"):
            whole = module(x, activation)
            for start, end in ((0, 1), (1, 3), (3, 8), (8, 24), (24, n_slot)):
                if not torch.equal(module(x[start:end], activation), whole[start:end]):
                    yield f"{name} {tuple(module.weight.shape)} gives {end - start} rows other bits than {n_slot} rows"


def _check_attention(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    config, block = forward.config, forward.key_block
    n_keys = -(-config.context_length // block) * block
    n_query = min(config.context_length, 2 * masks.TILE_ROWS + 1)

    def make(n_head: int, length: int) -> Tensor:
        return torch.randn(1, n_head, length, config.head_dim, generator=generator)

    k, v = make(config.n_kv_head, n_keys), make(config.n_kv_head, n_keys)
    # The last position of the first block, of the whole context, and one in between.
    for end in sorted(
        {min(block, config.context_length), config.context_length, (config.context_length + 1) // 2}
    ):
        start = max(0, end - n_query)
        q, positions = make(config.n_head, end - start), torch.arange(start, end)[None]
        whole = attend_tiled(
            q, k, v, masks.causal_tiles(positions, n_keys, config.n_head, config.n_kv_head)
        )
        own = -(-end // block) * block
        for t in range(end - start):
            mask = masks.causal_tiles(positions[:, t : t + 1], own, config.n_head, config.n_kv_head)
            if not torch.equal(
                attend_tiled(q[:, :, t : t + 1], k[:, :, :own], v[:, :, :own], mask)[:, :, 0],
                whole[:, :, t],
            ):
                yield f"attention ({config.head_dim} wide) at position {start + t} gives one query other bits than {end - start}"


def _check_model(forward: Forward, generator: torch.Generator) -> Iterator[str]:
    length = min(23, forward.config.context_length)
    first, second = torch.randint(
        forward.config.vocab_size, (2, length), generator=generator
    ).tolist()
    cache = forward.make_cache(3)
    cut = length // 2
    forward.logits([first[:cut]], [0], cache, [1])
    if cut + 1 < length:
        forward.logits([first[cut:-1], second], [cut, 0], cache, [1, 2])
    for t in range(length):
        beside = forward.logits([second[t : t + 1]], [t], cache, [0])
    together = forward.logits([second[-1:], first[-1:]], [length - 1] * 2, cache, [0, 1])
    alone = [forward.logits([text], [0])[0] for text in (second, first)]
    if not torch.equal(beside[0], alone[0]):
        yield "the model gives other bits token by token with a cache than in one piece"
    if not all(torch.equal(row, own) for row, own in zip(together, alone, strict=True)):
        yield "the model gives a text other bits in a batch than alone"
