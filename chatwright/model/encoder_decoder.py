"""The encoder-decoder Transformer: read a source text, write a target text.

    source -> embedding + position -> n_encoder_layer x [self-attention, feed-forward] -> memory
    target -> embedding + position
           -> n_decoder_layer x [self-attention, cross-attention to memory, feed-forward]
           -> head -> logits

The defaults are Vaswani et al. 2017: post-norm, sine/cosine positions, ReLU, biases, and one matrix
for both embeddings and the head; embeddings are multiplied by sqrt(D) (section 3.4). Pre-norm, RMS
norm, rotary positions, SwiGLU and q/k norm are other settings of the same parts.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention, KeyValues
from chatwright.model.block import Block
from chatwright.model.dropout import Dropout
from chatwright.model.encoder_decoder_config import EncoderDecoderConfig
from chatwright.model.feed_forward import FeedForward
from chatwright.model.heads import make_language_model_head
from chatwright.model.kv_cache import KVCache
from chatwright.model.masks import CAUSAL, Mask
from chatwright.model.model import Model
from chatwright.model.norms import make_norm
from chatwright.model.positions import Rotary, make_positions

# The encoded source: (B, S, D), or the keys and values that each decoder layer computed from it.
Memory = Tensor | Sequence[KeyValues]


class Stack(nn.Module):
    """Blocks in sequence, with a final norm if they are pre-norm. (B, T, D) -> (B, T, D)."""

    def __init__(
        self, config: EncoderDecoderConfig, n_layer: int, has_cross_attention: bool
    ) -> None:
        """Allocate the blocks."""
        super().__init__()
        self.blocks = nn.ModuleList(
            _make_block(config, has_cross_attention) for _ in range(n_layer)
        )
        self.norm: nn.Module = nn.Identity()
        if config.norm_first:
            self.norm = make_norm(config.norm, config.d_model, config.norm_eps)

    def forward(
        self,
        x: Tensor,
        mask: Mask,
        rotary: Rotary | None,
        memory: Memory | None = None,
        memory_mask: Mask = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Apply all blocks. (B, T, D) -> (B, T, D)."""
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
    """An encoder-decoder. (B, S), (B, T) -> (B, T, V)."""

    config: EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig) -> None:
        """Allocate the model; `init_weights` or a checkpoint gives the parameters their values."""
        super().__init__()
        self.config = config
        # Give nn.Embedding its weight, or it draws one from torch's global generator.
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
        self.head = make_language_model_head(self.embedding, config.tied, config.head_bias)

    def forward(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Mask = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Compute the logits of every next target token. (B, S), (B, T) -> (B, T, V)."""
        return self.head(self.hidden_states(source_ids, target_ids, source_mask, dtype))

    def hidden_states(
        self,
        source_ids: Tensor,
        target_ids: Tensor,
        source_mask: Mask = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return the decoder's output before the head. (B, S), (B, T) -> (B, T, D).

        `source_mask` (`masks.padding`) hides the padding of the source. Padding at the end of the
        target needs no mask: decoder tokens see only earlier tokens.
        """
        return self.decode(target_ids, self.encode(source_ids, source_mask, dtype), source_mask)

    def encode(
        self, source_ids: Tensor, mask: Mask = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Run the encoder. (B, S) -> (B, S, D)."""
        x, rotary = self._embed(source_ids, None, dtype)
        encoded: Tensor = self.encoder(x, masks.for_training(mask, source_ids.shape[1], x), rotary)
        return encoded

    def cross_key_values(self, encoded: Tensor) -> list[KeyValues]:
        """Compute the keys and values of every decoder layer's cross-attention from (B, S, D).

        They depend on the source alone, so token-by-token decoding computes them once.
        """
        key_values: list[KeyValues] = []
        for block in self.decoder.blocks:
            assert isinstance(block, Block), "_make_block makes no other kind"
            assert block.cross_attention is not None, "every decoder block has cross-attention"
            key_values.append(block.cross_attention.key_values(encoded))
        return key_values

    def decode(
        self,
        target_ids: Tensor,
        memory: Memory,
        memory_mask: Mask = None,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Run the decoder. (B, T) -> (B, T, D).

        Args:
            target_ids: (B, T).
            memory: The encoded source (B, S, D), or the result of `cross_key_values`.
            memory_mask: Which source tokens each target token sees.
            mask: Which target tokens each target token sees.
            positions: (B, T), needed with a cache.
            cache: Keys and values of earlier target tokens.
        """
        source = memory if isinstance(memory, Tensor) else memory[0].keys
        x, rotary = self._embed(target_ids, positions, source.dtype)
        mask = masks.for_training(mask, target_ids.shape[1], x)
        memory_mask = masks.for_training(memory_mask, source.shape[-2], x)
        decoded: Tensor = self.decoder(x, mask, rotary, memory, memory_mask, cache)
        return decoded

    def _embed(
        self, token_ids: Tensor, positions: Tensor | None, dtype: torch.dtype | None
    ) -> tuple[Tensor, Rotary | None]:
        """Embed tokens and positions; return the rotary angles as well. (B, T) -> (B, T, D)."""
        T, context_length = token_ids.shape[1], self.config.context_length
        assert context_length >= T, (
            f"{T} tokens do not fit a context of {context_length}; the caller must cut"
        )
        x = self.token_dropout.drop_vectors(self.embedding(token_ids))  # (B, T, D)
        if self.config.embedding_scale:
            x = x * math.sqrt(self.config.d_model)
        if self.position_embedding is not None:
            if positions is None:
                indices = torch.arange(T, device=token_ids.device)
            else:
                indices = positions.clamp(min=0)  # -1 is padding
            x = x + self.position_embedding(indices)
        x = self.dropout(x if dtype is None else x.to(dtype))
        return x, None if self.rotary is None else self.rotary(positions, T, x.dtype)


def init_weights(model: EncoderDecoder, generator: torch.Generator) -> None:
    """Set all parameters to their initial values, drawn from `generator`.

    Biases: 0. Norm weights: 1. Matrices outside the blocks, such as embeddings: normal(0,
    1 / (4 sqrt(D))), so that the initial logits are nearly equal. Matrices in the blocks by
    `config.init`:

    xavier: uniform(-a, a) with a = sqrt(6 / (inputs + outputs)) (Glorot & Bengio 2010).
    zero: 0 where they write into the residual stream, so that every block starts as the identity;
    normal(0, 0.6 / sqrt(inputs)) elsewhere.
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
                std = 0.25 * model.config.d_model**-0.5
                parameter.normal_(0.0, 1.0, generator=generator).mul_(std)
            elif model.config.init == "xavier":
                limit = math.sqrt(6 / sum(parameter.shape))
                parameter.uniform_(-limit, limit, generator=generator)
            else:
                writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
                std = 0.0 if writes_to_residual else 0.6 * parameter.shape[1] ** -0.5
                parameter.normal_(0.0, 1.0, generator=generator).mul_(std)
