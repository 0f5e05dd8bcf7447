"""Attention heads that attend to one relative position and copy numbers from there.

`standard_shape.py` writes them into a model that is exported to tools without tables of preceding
tokens: the heads look up what the tables hold.

The query and the key of such a head are the same for all tokens. With rotary positions, the score
of a key n positions before the query is then

    scale x sum over i of cos((n - lag) x rate_i)

which is largest at n = lag. A large scale leaves no attention for other positions. If the text
has no position so early, the head attends to the first one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.model.gpt_config import GPTConfig

SCORE_MARGIN = 40.0  # every other position gets at most exp(-40) of the attention
POSITION_SCALE = 2.0**6  # keeps queries and keys far above the epsilon of their norms


@dataclass(frozen=True)
class Copy:
    """What one head does: add numbers of an earlier vector to the current one."""

    lag: int
    """How many positions earlier; 0 is the current position."""
    source: slice
    """The numbers that are read, at most head_dim."""
    target: slice
    """The numbers to which they are added."""


def write_heads(
    layer: Mapping[str, Tensor],
    config: GPTConfig,
    copies: Sequence[Copy],
    index: int,
    value_scale: float,
) -> None:
    """Write one attention head for each copy.

    Args:
        layer: The parameters of a layer by their names inside it, all zero.
        config: The model's settings, with q/k norm and rotary positions.
        copies: What the heads copy; at most as many as there are key/value heads.
        index: Position in the layer's input vector of a number that is the same, and positive, for
            all tokens. Queries and keys are computed from it alone.
        value_scale: Factor of the copied numbers. They are copied from the normed input, so this
            can undo the division by the norm.
    """
    h, group_size = config.head_dim, config.n_head // config.n_kv_head
    layer["attention_norm.weight"].fill_(1.0)
    for name in ("query_norm", "key_norm"):
        layer[f"attention.{name}.weight"].fill_(_qk_norm_weight(config))
    key = torch.cat([torch.ones(h // 2), torch.zeros(h // 2)])
    for head, copy in enumerate(copies):
        query_rows = slice(head * group_size * h, (head * group_size + 1) * h)
        key_rows = slice(head * h, (head + 1) * h)
        angles = copy.lag * _rates(config)
        query = torch.cat([angles.cos(), -angles.sin()])
        layer["attention.query.weight"][query_rows, index] = query * POSITION_SCALE
        layer["attention.key.weight"][key_rows, index] = key * POSITION_SCALE
        n = copy.source.stop - copy.source.start
        layer["attention.value.weight"][key_rows][:n, copy.source] = torch.eye(n) * value_scale
        layer["attention.output.weight"][copy.target, query_rows][:, :n] = torch.eye(n)


def smallest_gap(config: GPTConfig) -> float:
    """Return by how much the sum of cosines falls at least from one distance to any larger one.

    A distance is counted from the position at which a head aims. All distances up to `n_previous`,
    the number of preceding tokens that have tables, are compared with the larger ones: in a short
    text the nearest existing position may be so far away.
    """
    distances = torch.arange(config.context_length + max(1, config.n_previous))
    closeness = (distances[:, None] * _rates(config)).cos().sum(dim=1)
    gaps = [closeness[i] - closeness[i + 1 :].max() for i in range(config.n_previous + 1)]
    return float(min(gaps))


def _qk_norm_weight(config: GPTConfig) -> float:
    """Return the weight w of the q/k norms for which scores differ by SCORE_MARGIN at least.

    The norms give each of the Dh/2 pairs of a query and of a key the length sqrt(2) w. Attention
    divides by sqrt(Dh), so the scale in the formula above is 2 w^2 / sqrt(Dh).
    """
    return math.sqrt(SCORE_MARGIN * math.sqrt(config.head_dim) / (2 * smallest_gap(config)))


def _rates(config: GPTConfig) -> Tensor:
    """Return the rotary frequencies, (Dh/2,)."""
    exponents = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    return 1.0 / config.rotary_base**exponents
