"""The decoder-only Transformer: predict each next token.

    tokens -> embedding (+ position) -> n_layer x block -> norm -> head -> logits

The default has exactly the architecture of Qwen3, so that other tools can load your models: RMS
norm, rotary positions, SwiGLU, grouped-query attention, q/k norm and tied embeddings. GPT-1, GPT-2,
GPT-3 (`presets.py`), Llama, Mistral, Qwen 2.5, SmolLM and Gemma 3 are other settings of the same
parts.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention
from chatwright.model.block import Block
from chatwright.model.dropout import Dropout
from chatwright.model.feed_forward import FeedForward
from chatwright.model.gpt_config import GPTConfig
from chatwright.model.heads import (
    LabelHead,
    ScalarHead,
    last_token,
    make_language_model_head,
)
from chatwright.model.kv_cache import KVCache
from chatwright.model.linear import Linear
from chatwright.model.masks import CAUSAL, Mask
from chatwright.model.model import Model
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors
from chatwright.model.norms import make_norm
from chatwright.model.positions import Rotary, RotaryTable, make_positions


class GPT(Model):
    """A decoder. (B, T) -> (B, T, V) with the default head."""

    config: GPTConfig

    def __init__(self, config: GPTConfig) -> None:
        """Allocate the model; `init_weights` or a checkpoint gives the parameters their values."""
        super().__init__()
        self.config = config
        vocab_size, d_model = config.vocab_size, config.d_model
        # Give nn.Embedding its weight, or it draws one from torch's global generator.
        self.embedding = nn.Embedding(vocab_size, d_model, _weight=torch.empty(vocab_size, d_model))
        self.position_embedding, self.rotary = make_positions(
            config.position,
            config.context_length,
            d_model,
            config.head_dim,
            config.rotary_base,
            config.rotary_scaling,
        )
        self.window_rotary: RotaryTable | None = None
        if config.window_rotary_base:
            base = config.window_rotary_base
            self.window_rotary = RotaryTable(config.context_length, config.head_dim, base)
        self.ngrams = _make_ngrams(config) if config.ngrams else None
        # The last row of each table means "there is no token before this one".
        self.previous = nn.ParameterList(
            nn.Parameter(torch.empty(vocab_size + 1, d_model)) for _ in range(config.n_previous)
        )
        self.token_dropout = Dropout(config.token_dropout)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(_make_block(config) for _ in range(config.n_layer))
        self.norm: nn.Module = nn.Identity()
        if config.norm_first:
            self.norm = make_norm(config.norm, d_model, config.norm_eps)
        self.head: Linear | None = None
        if config.head == "language_model":
            self.head = make_language_model_head(self.embedding, config.tied)
        self.label_head: LabelHead | None = None
        if config.head == "labels":
            # Without pooler and bias, as transformers' classifiers on decoders are.
            self.label_head = LabelHead(d_model, len(config.labels), "none", 0.0, bias=False)
        self.scalar_head = ScalarHead(d_model) if config.head == "scalar" else None

    def forward(
        self,
        token_ids: Tensor,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Compute the output of the head that `config.head` names.

        language_model: logits of every next token, (B, T) -> (B, T, V). labels: (B, T) -> (B, L).
        scalar: (B, T) -> (B,). none: (B, T) -> (B, T, D). For the value at every token, apply
        `scalar_head` to `hidden_states`.

        Args:
            token_ids: (B, T).
            mask: Which tokens each token sees (`masks.py`).
            positions: (B, T), needed with a cache or where a row holds several texts.
            cache: Keys and values of tokens already read.
            dtype: dtype of the activations; default: that of the weights.
            head_gates: (n_layer, H) or (n_layer, B, H) factors of the attention heads' outputs; 0
                switches a head off.
            lengths: (B,) number of tokens per row, without the padding at its end. Label and scalar
                heads read the last one. Default: T for every row.
        """
        hidden = self.hidden_states(token_ids, mask, positions, cache, dtype, head_gates)
        if self.head is not None:
            return self.head(hidden)
        if self.label_head is not None:
            logits: Tensor = self.label_head(last_token(hidden, lengths))
            return logits
        if self.scalar_head is not None:
            scores: Tensor = self.scalar_head(last_token(hidden, lengths))
            return scores
        return hidden

    def hidden_states(
        self,
        token_ids: Tensor,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Return the normalized output of the last layer, before the head. (B, T) -> (B, T, D).

        `forward` explains the arguments.
        """
        T = token_ids.shape[1]
        context_length = self.config.context_length
        assert context_length >= T, (
            f"{T} tokens do not fit a context of {context_length}; the caller must cut"
        )
        x = self._embed(token_ids, positions, cache)  # (B, T, D)
        if dtype is not None:
            x = x.to(dtype)
        if self.config.embedding_norm:
            x = F.rms_norm(x, (x.shape[-1],), eps=self.config.norm_eps)
        rotary_by_window = self._rotary(positions, T, x.dtype)
        x = self.dropout(x)
        mask_by_window = self._masks(mask, positions if cache is not None else None, x)
        for i, block in enumerate(self.blocks):
            window = self.config.window_of(i)
            x = block(
                x,
                mask_by_window[window],
                None if i in self.config.nope_layers else rotary_by_window[window],
                None if cache is None else cache.layer(i),
                None if head_gates is None else head_gates[i],
            )
        return self.norm(x)

    def _embed(self, token_ids: Tensor, positions: Tensor | None, cache: KVCache | None) -> Tensor:
        """Sum the embeddings of tokens, positions and preceding tokens. (B, T) -> (B, T, D)."""
        x: Tensor = self.token_dropout.drop_vectors(self.embedding(token_ids))
        if self.config.embedding_scale:
            x = x * math.sqrt(self.config.d_model)
        if self.position_embedding is not None:
            if positions is None:
                indices = torch.arange(token_ids.shape[1], device=token_ids.device)
            else:
                indices = positions.clamp(min=0)  # -1 is padding
            x = x + self.position_embedding(indices)
        reach = max(len(self.previous), 0 if self.ngrams is None else self.ngrams.reach)
        if not reach:
            return x
        no_token = self.config.vocab_size
        if cache is None:
            preceding = predecessors(token_ids, positions, reach, no_token)  # (B, T, reach)
        else:
            preceding = cache.predecessors(token_ids, reach, no_token)
        for lag, table in enumerate(self.previous):
            x = x + F.embedding(preceding[..., lag], table)
        return x if self.ngrams is None else x + self.ngrams(token_ids, preceding)

    def _rotary(
        self, positions: Tensor | None, n_token: int, dtype: torch.dtype
    ) -> dict[int, Rotary | None]:
        """Look up the rotary angles for each window size once, for all layers."""
        rotary = None if self.rotary is None else self.rotary(positions, n_token, dtype)
        by_window = {0: rotary, self.config.window: rotary}
        if self.window_rotary is not None:
            by_window[self.config.window] = self.window_rotary(positions, n_token, dtype)
        return by_window

    def _masks(self, mask: Mask, key_positions: Tensor | None, x: Tensor) -> dict[int, Mask]:
        """Make the mask for each window size once, for all layers.

        `key_positions` (B, T): index of each query's token among the keys. None: 0, 1, ..., T - 1.
        """
        config, T = self.config, x.shape[1]
        mask_by_window = {0: masks.for_training(mask, T, x)}
        if config.window:
            n_key = mask.shape[-1] if isinstance(mask, Tensor) else T
            if key_positions is None:
                key_positions = torch.arange(T, device=x.device)[None]
            windowed = masks.within(
                mask, key_positions, n_key, config.window, config.n_head, config.n_kv_head
            )
            mask_by_window[config.window] = masks.for_training(windowed, T, x)
        return mask_by_window


def _make_ngrams(config: GPTConfig) -> NgramEmbedding:
    return NgramEmbedding(
        config.vocab_size,
        config.d_model,
        config.ngrams,
        config.ngram_rows,
        config.ngram_dropout,
    )


def _make_block(config: GPTConfig) -> Block:
    attention = Attention(
        config.d_model,
        config.n_head,
        config.n_kv_head,
        config.head_dim,
        config.has_bias("qkv"),
        config.qk_norm,
        config.norm_eps,
        output_bias=config.has_bias("output"),
        scale=config.query_pre_attn_scalar**-0.5 if config.query_pre_attn_scalar else None,
        is_self_attention=True,
    )
    feed_forward = FeedForward(
        config.d_model, config.d_ff, config.activation, config.has_bias("feed_forward")
    )

    def norm() -> nn.Module:
        return make_norm(config.norm, config.d_model, config.norm_eps)

    return Block(
        attention,
        norm(),
        feed_forward,
        norm(),
        config.norm_first,
        config.dropout,
        attention_output_norm=norm() if config.sandwich_norm else None,
        feed_forward_output_norm=norm() if config.sandwich_norm else None,
    )


def init_weights(model: GPT, generator: torch.Generator) -> None:
    """Set all parameters to their initial values, drawn from `generator`.

    Biases, tables of n-grams and preceding tokens, label and scalar heads: 0. Norm weights: 1.
    Matrices by `config.init`:

    gpt2: normal(0, 0.02), divided by sqrt(2 n_layer) where they write into the residual stream.
    zero: 0 where they write into the residual stream, so that every block starts as the identity;
    normal(0, 0.6 / sqrt(inputs)) elsewhere in the blocks. Embeddings: normal(0, 0.02) if they are
    tied to the head; otherwise normal(0, 1), and the head is 0.
    """
    zero_tables = ("ngrams.", "previous.", "label_head.", "scalar_head.")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("bias") or name.startswith(zero_tables):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                std = _initial_std(name, parameter.shape[1], model.config)
                parameter.normal_(0.0, 1.0, generator=generator).mul_(std)


def _initial_std(name: str, n_input: int, config: GPTConfig) -> float:
    writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
    if config.init == "gpt2":
        return 0.02 / (2 * config.n_layer) ** 0.5 if writes_to_residual else 0.02
    if writes_to_residual or name == "head.weight":
        return 0.0
    if name.startswith("blocks."):
        return 0.6 / n_input**0.5
    return 0.02 if config.tied else 1.0
