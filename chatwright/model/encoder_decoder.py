"""The Transformer of 2017: an encoder reads a text, a decoder writes another, looking at the encoder's output in every layer.

    source -> embedding + position -> n_encoder_layer x [self-attention, feed-forward]                            -> encoded
    target -> embedding + position -> n_decoder_layer x [self-attention, cross-attention to encoded, feed-forward] -> head -> logits

The defaults are Vaswani et al. 2017: post-norm, sine/cosine positions, ReLU, biases, one matrix for both embeddings and the head, which
is scaled by sqrt(D) where it embeds (section 3.4). Pre-norm, RMS norm, rotary positions, SwiGLU and q/k norm are settings of the same parts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention, KeyValues
from chatwright.model.block import Block
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import Activation, FeedForward
from chatwright.model.kv_cache import KVCache
from chatwright.model.linear import Linear
from chatwright.model.masks import CAUSAL, Mask
from chatwright.model.model import Model
from chatwright.model.norms import NormKind, make_norm
from chatwright.model.positions import PositionKind, Rotary, make_positions


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig:
    vocab_size: int  # one vocabulary for both sides
    context_length: int = 256  # most tokens on either side
    n_encoder_layer: int = 6
    n_decoder_layer: int = 6
    n_head: int = 8
    head_dim: int = 64  # width of one head; n_head * head_dim need not equal width
    d_model: int = 512  # numbers per token in the residual stream
    d_ff: int = 2048  # numbers per token inside the feed-forward
    activation: Activation = "relu"
    norm: NormKind = "layer"
    norm_eps: float = 1e-5
    norm_first: bool = (
        False  # True is pre-norm, with one more norm at the end of the encoder and of the decoder
    )
    qk_norm: bool = False
    bias: bool = True
    position: PositionKind = "sinusoidal"
    rotary_base: float = 10_000.0
    embedding_scale: bool = True  # embeddings times sqrt(D)
    tied: bool = True  # the head reuses the embedding matrix
    head_bias: bool = False
    start_id: int | None = None  # the id that begins every translation; None: the tokenizer's <bos>
    init: Literal["xavier", "zero"] = "xavier"  # see init_weights
    dropout: float = 0.1  # of what each part of a block adds to the residual stream
    embedding_dropout: float = 0.1
    token_dropout: float = 0.0  # share of tokens whose own embedding is left out in training: an augmentation (Iyyer et al. 2015)

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "context_length",
            "n_encoder_layer",
            "n_decoder_layer",
            "n_head",
            "head_dim",
            "d_model",
            "d_ff",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.position == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"head_dim ({self.head_dim}) must be even for rotary positions, which turn pairs of numbers"
            )
        for name in ("dropout", "embedding_dropout", "token_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 0 and below 1")


Memory = (
    Tensor | Sequence[KeyValues]
)  # what the encoder made of the source: (B, S, D), or as each decoder layer reads it


class Stack(nn.Module):
    """Blocks one after another, and a last norm where they are pre-norm. (B, T, D) -> (B, T, D)."""

    def __init__(
        self, config: EncoderDecoderConfig, n_layer: int, has_cross_attention: bool
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _make_block(config, has_cross_attention) for _ in range(n_layer)
        )
        self.norm = (
            make_norm(config.norm, config.d_model, config.norm_eps)
            if config.norm_first
            else nn.Identity()
        )

    def forward(
        self,
        x: Tensor,
        mask: Mask,
        rotary: Rotary | None,
        memory: Memory | None = None,
        memory_mask: Mask = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        for i, block in enumerate(self.blocks):
            context = memory if memory is None or isinstance(memory, Tensor) else memory[i]
            x = block(
                x,
                mask,
                rotary,
                None if cache is None else cache.layer(i),
                context=context,
                context_mask=memory_mask,
            )
        normed: Tensor = self.norm(x)
        return normed


def _make_block(config: EncoderDecoderConfig, has_cross_attention: bool) -> Block:
    def attention() -> Attention:
        return Attention(
            config.d_model,
            config.n_head,
            None,
            config.head_dim,
            config.bias,
            config.qk_norm,
            config.norm_eps,
        )

    def norm() -> nn.Module:
        return make_norm(config.norm, config.d_model, config.norm_eps)

    return Block(
        attention(),
        norm(),
        FeedForward(config.d_model, config.d_ff, config.activation, config.bias),
        norm(),
        config.norm_first,
        config.dropout,
        attention() if has_cross_attention else None,
        norm() if has_cross_attention else None,
    )


class EncoderDecoder(Model):
    config: EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig) -> None:
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
        )
        self.token_dropout = Dropout(config.token_dropout)
        self.dropout = Dropout(config.embedding_dropout)
        self.encoder = Stack(config, config.n_encoder_layer, has_cross_attention=False)
        self.decoder = Stack(config, config.n_decoder_layer, has_cross_attention=True)
        self.head = Linear(config.d_model, config.vocab_size, config.head_bias)
        if config.tied:
            self.head.weight = self.embedding.weight  # type: ignore[assignment]

    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Mask = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Logits for every next target token. (B, S), (B, T) -> (B, T, V)."""
        return self.head(self.hidden_states(source_ids, target_ids, source_mask, dtype))

    def hidden_states(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Mask = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """The decoder's output before the head. (B, S), (B, T) -> (B, T, D).

        `source_mask` (`masks.padding`) hides the padding of the source; that of the target comes last, where nothing looks back at it.
        """
        return self.decode(target_ids, self.encode(source_ids, source_mask, dtype), source_mask)

    def encode(
        self, source_ids: Tensor, mask: Mask = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """(B, S) -> (B, S, D)."""
        x, rotary = self._embed(source_ids, None, dtype)
        encoded: Tensor = self.encoder(x, masks.for_training(mask, source_ids.shape[1], x), rotary)
        return encoded

    def read(self, encoded: Tensor) -> list[KeyValues]:
        """Keys and values of every decoder layer's cross-attention. They depend on the source alone: decoding step by step needs them once."""
        return [block.cross_attention.read(encoded) for block in self.decoder.blocks]  # type: ignore[operator, union-attr]

    def decode(
        self,
        target_ids: Tensor,
        memory: Memory,
        memory_mask: Mask = None,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """(B, T), memory (B, S, D) or what `read` made of it -> (B, T, D). positions (B, T) is needed with a cache."""
        encoded = memory if isinstance(memory, Tensor) else memory[0].keys
        x, rotary = self._embed(target_ids, positions, encoded.dtype)
        mask = masks.for_training(mask, target_ids.shape[1], x)
        decoded: Tensor = self.decoder(
            x, mask, rotary, memory, masks.for_training(memory_mask, encoded.shape[-2], x), cache
        )
        return decoded

    def _embed(
        self, token_ids: Tensor, positions: Tensor | None, dtype: torch.dtype | None
    ) -> tuple[Tensor, Rotary | None]:
        T = token_ids.shape[1]
        assert self.config.context_length >= T, (
            f"{T} tokens do not fit a context of {self.config.context_length}; the caller must cut"
        )
        x = self.token_dropout.rows(self.embedding(token_ids))  # (B, T, D)
        if self.config.embedding_scale:
            x = x * math.sqrt(self.config.d_model)
        if self.position_embedding is not None:
            places = (
                torch.arange(T, device=token_ids.device)
                if positions is None
                else positions.clamp(min=0)
            )
            x = x + self.position_embedding(places)
        x = self.dropout(x if dtype is None else x.to(dtype))
        return x, None if self.rotary is None else self.rotary(positions, T, x.dtype)


def init_weights(model: EncoderDecoder, generator: torch.Generator) -> None:
    """Biases 0, norms 1, embeddings normal(0, 1/4 D^-1/2), so that no token's first logits stand out, and the matrices by `config.init`.

    xavier: uniform(-a, a) with a = sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010), as in the implementations of 2017.
    zero: every part of a block starts as the identity (projections into the residual stream 0), the rest normal(0, 0.6 / sqrt(inputs)).
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            elif "blocks." not in name:
                parameter.normal_(0.0, 1.0, generator=generator).mul_(
                    0.25 * model.config.d_model**-0.5
                )
            elif model.config.init == "xavier":
                limit = math.sqrt(6 / sum(parameter.shape))
                parameter.uniform_(-limit, limit, generator=generator)
            else:
                writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
                parameter.normal_(0.0, 1.0, generator=generator).mul_(
                    0.0 if writes_to_residual else 0.6 * parameter.shape[1] ** -0.5
                )
