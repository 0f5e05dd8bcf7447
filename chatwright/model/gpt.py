"""The decoder-only Transformer: tokens in, a guess for each next token out.

    tokens -> embedding (+ position) -> n_layer x block -> norm -> head -> logits

The default is exactly Qwen3-shaped (RMS norm, rotary, SwiGLU, grouped heads, q/k norm, tied embeddings), so that what is trained
here opens in other tools. GPT-1, GPT-2 and GPT-3 (`presets.py`), Llama, Mistral, Qwen 2.5 and SmolLM are settings of the same parts.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention
from chatwright.model.block import Block
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import Activation, FeedForward
from chatwright.model.kv_cache import KVCache
from chatwright.model.linear import Linear
from chatwright.model.masks import CAUSAL, Mask
from chatwright.model.model import Model
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors
from chatwright.model.norms import NormKind, make_norm
from chatwright.model.positions import PositionKind, RotaryScaling, make_positions

Biased = Literal["qkv", "output", "feed_forward"]


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    vocab_size: int
    context_length: int = 512  # most tokens the model can look at
    n_layer: int = 6
    n_head: int = 6  # query heads
    n_kv_head: int = 6  # fewer than n_head shares keys and values between heads
    head_dim: int = 64  # width of one head; n_head * head_dim need not equal width
    d_model: int = 384  # numbers per token in the residual stream
    d_ff: int = 1024  # numbers per token inside the feed-forward
    activation: Activation = "swiglu"
    norm: NormKind = "rms"
    norm_eps: float = 1e-6
    norm_first: bool = True  # False is the post-norm of 2017 and GPT-1
    qk_norm: bool = True
    bias: bool | tuple[Biased, ...] = (
        False  # of the linear layers in the blocks: all, none, or those named
    )
    position: PositionKind = "rotary"
    rotary_base: float = 10_000.0
    rotary_scaling: RotaryScaling | None = None
    nope_layers: tuple[
        int, ...
    ] = ()  # layers that do without rotary positions (SmolLM 3: every fourth)
    window: int = 0  # most recent tokens that attention looks at, the asking one included; 0: all
    unwindowed_layers: tuple[int, ...] = ()  # layers that look at all tokens in spite of `window`
    tied: bool = True  # the head reuses the embedding matrix
    ngrams: tuple[int, ...] = ()  # lengths of token runs that get an embedding of their own
    ngram_rows: int = 16_384  # rows of each such table; longer lists of runs share rows by hash
    ngram_dropout: float = (
        0.0  # share of n-gram embeddings left out in training, each length by itself
    )
    n_previous: int = 0  # how many earlier tokens each place knows at once, by a table each: attention then finds repeats in one layer
    embedding_norm: bool = (
        False  # RMS norm, without a weight, between the embeddings and the first block
    )
    init: Literal["gpt2", "zero"] = "gpt2"  # see init_weights
    dropout: float = 0.0  # of what each block adds to the residual stream
    embedding_dropout: float = 0.0
    token_dropout: float = 0.0  # share of tokens whose own embedding is left out in training: an augmentation (Iyyer et al. 2015)

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "context_length",
            "n_layer",
            "n_head",
            "n_kv_head",
            "head_dim",
            "d_model",
            "d_ff",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.n_head % self.n_kv_head:
            raise ValueError(
                f"n_head ({self.n_head}) must be a multiple of n_kv_head ({self.n_kv_head})"
            )
        if self.position == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"head_dim ({self.head_dim}) must be even for rotary positions, which turn pairs of numbers"
            )
        for name in ("n_previous", "window"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 0")
        for name in ("nope_layers", "unwindowed_layers"):
            if any(not 0 <= layer < self.n_layer for layer in getattr(self, name)):
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must name layers from 0 to {self.n_layer - 1}"
                )
        if any(n < 2 for n in self.ngrams) or len(set(self.ngrams)) < len(self.ngrams):
            raise ValueError(
                f"ngrams ({self.ngrams}) must be distinct run lengths of at least 2, for example [2, 3]"
            )
        for name in ("dropout", "embedding_dropout", "token_dropout", "ngram_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 0 and below 1")

    def has_bias(self, part: Biased) -> bool:
        return self.bias if isinstance(self.bias, bool) else part in self.bias

    def window_of(self, layer: int) -> int:
        return 0 if layer in self.unwindowed_layers else self.window


class GPT(Model):
    config: GPTConfig

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        # nn.Embedding draws from torch's global generator when it is left to initialise itself.
        self.embedding = nn.Embedding(
            config.vocab_size,
            config.d_model,
            _weight=torch.empty(config.vocab_size, config.d_model),
        )
        self.position_embedding, self.rotary = make_positions(
            config.position,
            config.context_length,
            config.d_model,
            config.head_dim,
            config.rotary_base,
            config.rotary_scaling,
        )
        self.ngrams = self._make_ngrams(config)
        self.previous = nn.ParameterList(
            nn.Parameter(torch.empty(config.vocab_size + 1, config.d_model))
            for _ in range(config.n_previous)
        )
        self.token_dropout = Dropout(config.token_dropout)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(self._make_block(config) for _ in range(config.n_layer))
        self.norm = (
            make_norm(config.norm, config.d_model, config.norm_eps)
            if config.norm_first
            else nn.Identity()
        )
        self.head = Linear(config.d_model, config.vocab_size)
        if config.tied:
            self.head.weight = self.embedding.weight  # type: ignore[assignment]

    @staticmethod
    def _make_ngrams(config: GPTConfig) -> NgramEmbedding | None:
        if not config.ngrams:
            return None
        return NgramEmbedding(
            config.vocab_size,
            config.d_model,
            config.ngrams,
            config.ngram_rows,
            config.ngram_dropout,
        )

    @staticmethod
    def _make_block(config: GPTConfig) -> Block:
        return Block(
            Attention(
                config.d_model,
                config.n_head,
                config.n_kv_head,
                config.head_dim,
                config.has_bias("qkv"),
                config.qk_norm,
                config.norm_eps,
                output_bias=config.has_bias("output"),
            ),
            make_norm(config.norm, config.d_model, config.norm_eps),
            FeedForward(
                config.d_model, config.d_ff, config.activation, config.has_bias("feed_forward")
            ),
            make_norm(config.norm, config.d_model, config.norm_eps),
            config.norm_first,
            config.dropout,
        )

    def forward(
        self,
        token_ids: Tensor,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Logits for every next token. (B, T) -> (B, T, V)

        positions (B, T) is needed with a cache or ragged rows; dtype is that of the activations (default: the weights');
        head_gates (n_layer, H) switches heads off (0) or leaves them on (1).
        """
        return self.head(self.hidden_states(token_ids, mask, positions, cache, dtype, head_gates))

    def hidden_states(
        self,
        token_ids: Tensor,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """The last layer's normed output, before the head. (B, T) -> (B, T, D)"""
        T = token_ids.shape[1]
        assert self.config.context_length >= T, (
            f"{T} tokens do not fit a context of {self.config.context_length}; the caller must cut"
        )
        x = self._embed(token_ids, positions, cache)  # (B, T, D)
        if dtype is not None:
            x = x.to(dtype)
        if self.config.embedding_norm:
            x = F.rms_norm(x, (x.shape[-1],), eps=self.config.norm_eps)
        rotary = None if self.rotary is None else self.rotary(positions, T, x.dtype)
        x = self.dropout(x)
        mask_of = self._masks(mask, positions if cache is not None else None, x)
        for i, block in enumerate(self.blocks):
            x = block(
                x,
                mask_of[self.config.window_of(i)],
                None if i in self.config.nope_layers else rotary,
                None if cache is None else cache.layer(i),
                None if head_gates is None else head_gates[i],
            )
        return self.norm(x)

    def _embed(self, token_ids: Tensor, positions: Tensor | None, cache: KVCache | None) -> Tensor:
        """What is known of each token before any attention. (B, T) -> (B, T, D)"""
        x: Tensor = self.token_dropout.rows(self.embedding(token_ids))
        if self.position_embedding is not None:
            places = (
                torch.arange(token_ids.shape[1], device=token_ids.device)
                if positions is None
                else positions.clamp(min=0)
            )
            x = x + self.position_embedding(places)
        if reach := max(len(self.previous), 0 if self.ngrams is None else self.ngrams.reach):
            none = self.config.vocab_size
            before = (
                predecessors(token_ids, positions, reach, none)
                if cache is None
                else cache.predecessors(token_ids, reach, none)
            )
            for lag, table in enumerate(self.previous):
                x = x + F.embedding(before[..., lag], table)
            if self.ngrams is not None:
                x = x + self.ngrams(token_ids, before)
        return x

    def _masks(self, mask: Mask, places: Tensor | None, x: Tensor) -> dict[int, Mask]:
        """The mask by window, made once for all layers. `places` (B, T) is where the queries stand among the keys; None: key t is query t."""
        config, T = self.config, x.shape[1]
        made = {0: masks.for_training(mask, T, x)}
        if config.window:
            n_key = mask.shape[-1] if isinstance(mask, Tensor) else T
            places = torch.arange(T, device=x.device)[None] if places is None else places
            near = masks.within(mask, places, n_key, config.window, config.n_head, config.n_kv_head)
            made[config.window] = masks.for_training(near, T, x)
        return made


def init_weights(model: GPT, generator: torch.Generator) -> None:
    """Biases, n-gram and previous-token tables 0, norms 1, and the matrices by `config.init`.

    gpt2: normal(0, 0.02), the projections into the residual stream divided by sqrt(2 n_layer).
    zero: every block starts as the identity (projections into the residual stream 0), matrices normal(0, 0.6 / sqrt(inputs)); an untied
    head 0 beside embeddings normal(0, 1).
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("bias") or name.startswith(("ngrams.", "previous.")):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, 1.0, generator=generator).mul_(
                    _initial_std(name, parameter.shape[1], model.config)
                )


def _initial_std(name: str, n_input: int, config: GPTConfig) -> float:
    writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
    if config.init == "gpt2":
        return 0.02 / (2 * config.n_layer) ** 0.5 if writes_to_residual else 0.02
    if writes_to_residual or name == "head.weight":
        return 0.0
    if name.startswith("blocks."):
        return 0.6 / n_input**0.5
    return 0.02 if config.tied else 1.0
