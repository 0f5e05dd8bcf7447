"""Rewrite a decoder with tables of preceding tokens as an equal one in Qwen 3's shape.

Other tools have no such tables, no norm after the embeddings and no ReLU squared. Attention and
SwiGLU can compute all three. A vector of the rewritten model has these parts:

    sum        D numbers: the token's embedding, and later the rows of preceding tokens added to it
    tables     n_previous x D: the token's own row of each table
    stream     D: the residual stream of the original, times STREAM_SCALE
    constant   1, so large that a norm only divides the other parts by it
    marker     1, from which queries and keys that depend on positions alone are computed

    first layers     heads that attend to one earlier position add its row of a table to `sum`; then
                     a feed-forward network sets tables and constant to zero
    one more layer   heads that attend to their own position write norm(sum) into `stream`
    other layers     the layers of the original, which read and write `stream`

Up to rounding, the logits are equal for texts that begin with <bos> and do not contain it again.
The price is size: several times the original's, unless it has no tables.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.model.gpt import GPT
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.position_heads import Copy, smallest_gap, write_heads

STREAM_SCALE = 2.0**12  # makes the other parts negligible in the norms of the original's layers
# x silu(c x) / c is relu(x)^2, but for at most 0.5 / c^2.
GATE_SCALE = 2.0**8
MARKER = 2.0**-6
CONSTANT_RATIO = 2.0**9  # of the constant to the length of the other parts
LARGEST_CONSTANT = 2.0**15  # a 16-bit float holds at most 65,504
SMALLEST_GAP = 0.05  # with a smaller one, attention to one position would need huge scores
WIDTH_MULTIPLE = 256  # llama.cpp quantizes rows in blocks of up to 256 numbers

REQUIRED = {
    "norm": "rms",
    "norm_first": True,
    "qk_norm": True,
    "bias": False,
    "position": "rotary",
    "rotary_scaling": None,
    "nope_layers": (),
    "window": 0,
    "sandwich_norm": False,
    "query_pre_attn_scalar": 0,
    "embedding_scale": False,
    "ngrams": (),
    "head": "language_model",
}

Parameters = Mapping[str, Tensor]


def can_rewrite(config: GPTConfig) -> bool:
    """Return whether `rewrite` supports a model with these settings."""
    if any(getattr(config, name) != value for name, value in REQUIRED.items()):
        return False
    if config.activation not in ("relu2", "swiglu"):
        return False
    if not config.n_previous:
        return True
    heads_suffice = config.n_kv_head * config.head_dim >= config.d_model
    return config.embedding_norm and heads_suffice and smallest_gap(config) > SMALLEST_GAP


@dataclass(frozen=True)
class _Parts:
    """Where the parts of a vector are; `sum` is first. Without tables there is only the stream."""

    d_model: int
    n_table: int

    @property
    def stream(self) -> slice:
        start = self.d_model * (self.n_table + 1) if self.n_table else 0
        return slice(start, start + self.d_model)

    @property
    def constant(self) -> int:
        return self.stream.stop

    @property
    def marker(self) -> int:
        return self.stream.stop + 1

    @property
    def removed(self) -> list[int]:
        """The numbers that are set to zero: the tables and the constant."""
        return [*range(self.d_model, self.stream.start), self.constant]

    @property
    def width(self) -> int:
        if not self.n_table:
            return self.d_model
        return -(-(self.marker + 1) // WIDTH_MULTIPLE) * WIDTH_MULTIPLE

    @property
    def stream_scale(self) -> float:
        return STREAM_SCALE if self.n_table else 1.0

    @property
    def norm_scale(self) -> float:
        """Factor that makes up for a norm over `width` numbers of which only D are not zero."""
        return math.sqrt(self.d_model / self.width)


@torch.no_grad()
def rewrite(model: GPT, bos_id: int) -> GPT:
    """Return an equal model in Qwen 3's shape. `bos_id` is the token that begins every text."""
    config = model.config
    assert can_rewrite(config), "the caller asks `can_rewrite` first"
    parts = _Parts(config.d_model, config.n_previous)
    layers = _copies(config, parts)
    new = GPT(_new_config(config, parts, len(layers)))
    weights: dict[str, Tensor] = dict(new.named_parameters())
    for weight in weights.values():
        weight.zero_()
    weights["embedding.weight"].copy_(_embedding(model, bos_id, parts))
    if layers:
        _write_first_layers(weights, config, parts, layers)
    old: dict[str, Tensor] = dict(model.named_parameters())
    for i in range(config.n_layer):
        _write_layer(_inside(old, i), _inside(weights, len(layers) + i), parts)
    weights["norm.weight"][parts.stream] = old["norm.weight"] * parts.norm_scale
    head = old["embedding.weight" if config.tied else "head.weight"]
    weights["head.weight"][:, parts.stream] = head
    return new.eval()


def _new_config(config: GPTConfig, parts: _Parts, n_first_layer: int) -> GPTConfig:
    return dataclasses.replace(
        config,
        n_layer=config.n_layer + n_first_layer,
        d_model=parts.width,
        d_ff=max(config.d_ff, len(parts.removed) if parts.n_table else 0),
        activation="swiglu",
        tied=False,
        n_previous=0,
        embedding_norm=False,
    )


def _inside(weights: Parameters, layer: int) -> dict[str, Tensor]:
    """Return the parameters of one layer by their names inside the layer."""
    prefix = f"blocks.{layer}."
    return {
        name.removeprefix(prefix): weight
        for name, weight in weights.items()
        if name.startswith(prefix)
    }


def _copies(config: GPTConfig, parts: _Parts) -> list[list[Copy]]:
    """Return what each head of the first layers copies, by layer; [] without tables."""
    D, h = config.d_model, config.head_dim
    chunks = [slice(start, min(start + h, D)) for start in range(0, D, h)]

    def shifted(chunk: slice, offset: int) -> slice:
        return slice(chunk.start + offset, chunk.stop + offset)

    copies = [
        Copy(lag, shifted(chunk, lag * D), chunk)
        for lag in range(1, config.n_previous + 1)
        for chunk in chunks
    ]
    n = config.n_kv_head
    layers = [copies[start : start + n] for start in range(0, len(copies), n)]
    own_position = [Copy(0, chunk, shifted(chunk, parts.stream.start)) for chunk in chunks]
    return [*layers, own_position] if layers else []


def _embedding(model: GPT, bos_id: int, parts: _Parts) -> Tensor:
    """Return the embedding of the rewritten model, (V, width)."""
    config, D = model.config, parts.d_model
    rows = _table_rows(model, bos_id)
    if not parts.n_table:
        has_norm = config.embedding_norm
        return F.rms_norm(rows[0], (D,), eps=config.norm_eps) if has_norm else rows[0]
    embedding = rows[0].new_zeros(len(rows[0]), parts.width)
    # With this factor, the epsilon of a norm over `width` numbers has the effect of the original's.
    joined = torch.cat(rows, dim=1) / parts.norm_scale
    embedding[:, : joined.shape[1]] = joined
    longest = sum(float(part.norm(dim=1).max()) for part in joined.split(D, dim=1))
    constant = 2.0 ** math.ceil(math.log2(max(longest, 1.0) * CONSTANT_RATIO))
    embedding[:, parts.constant] = min(constant, LARGEST_CONSTANT)
    embedding[:, parts.marker] = MARKER
    return embedding


def _table_rows(model: GPT, bos_id: int) -> list[Tensor]:
    """Return the embedding and the tables of preceding tokens, (V, D) each, for position heads.

    A head that should attend to a position before the first attends to the first, where it finds
    <bos>. The head of lag i finds <bos> at the positions 0 to i and is right only at the last of
    them. At the others, the head of lag i - 1 finds <bos> too, so its row of <bos> also holds the
    difference between "no token" and <bos> at lag i.
    """
    tables = list(model.previous)
    rows = [model.embedding.weight.clone(), *(table[:-1].clone() for table in tables)]
    for shorter, table in zip(rows, tables, strict=False):
        shorter[bos_id] += table[-1] - table[bos_id]
    return rows


def _write_first_layers(
    weights: Parameters, config: GPTConfig, parts: _Parts, layers: list[list[Copy]]
) -> None:
    """Write the layers before those of the original."""
    constant = float(weights["embedding.weight"][0, parts.constant])
    rms = math.sqrt((constant**2 + MARKER**2) / parts.width + config.norm_eps)
    for i, copies in enumerate(layers[:-1]):
        write_heads(_inside(weights, i), config, copies, parts.constant, rms)
    _write_removal(_inside(weights, len(layers) - 2), parts, constant / rms, rms)
    last = _inside(weights, len(layers) - 1)
    write_heads(last, config, layers[-1], parts.marker, STREAM_SCALE * parts.norm_scale)


def _write_removal(layer: Parameters, parts: _Parts, constant: float, rms: float) -> None:
    """Make a feed-forward network that sets some numbers of the vector to zero.

    Args:
        layer: The parameters of the layer.
        parts: Where the parts of a vector are.
        constant: The constant, divided by the norm.
        rms: What the norm divides by.
    """
    layer["feed_forward_norm.weight"].fill_(1.0)
    gate = constant / (1 + math.exp(-constant))  # silu(constant)
    unit = torch.arange(len(parts.removed))
    layer["feed_forward.gate.weight"][unit, parts.constant] = 1.0
    layer["feed_forward.up.weight"][unit, parts.removed] = 1.0
    layer["feed_forward.down.weight"][parts.removed, unit] = -rms / gate


def _write_layer(old: Parameters, new: Parameters, parts: _Parts) -> None:
    """Write a layer of the original: it reads and writes the stream."""
    stream = parts.stream
    has_gate = "feed_forward.gate.weight" in old
    for name, weight in old.items():
        match name:
            case "attention.query_norm.weight" | "attention.key_norm.weight":
                new[name].copy_(weight)
            case "attention_norm.weight" | "feed_forward_norm.weight":
                new[name][stream] = weight * parts.norm_scale
            case "attention.output.weight":
                new[name][stream] = weight * parts.stream_scale
            case "feed_forward.down.weight":
                scale = parts.stream_scale / (1.0 if has_gate else GATE_SCALE)
                new[name][stream, : weight.shape[1]] = weight * scale
            case _:  # query, key, value, gate and up
                new[name][: len(weight), stream] = weight
    if not has_gate:
        up = old["feed_forward.up.weight"]
        new["feed_forward.gate.weight"][: len(up), stream] = up * GATE_SCALE
