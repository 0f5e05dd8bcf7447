"""The encoder: every token sees every other token, in both directions (BERT, Devlin et al. 2018).

    tokens -> embedding (+ position + token type) -> n_layer x block -> norm -> head

BERT, RoBERTa, DistilBERT, ALBERT and MobileBERT are settings of the same parts
(`encoder_presets.py`). The default is our own shape, small enough to train from scratch on a CPU:
pre-norm, RMS norm, rotary positions and SwiGLU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention
from chatwright.model.block import Block
from chatwright.model.bottleneck import BottleneckBlock
from chatwright.model.dropout import Dropout
from chatwright.model.encoder_config import EncoderConfig
from chatwright.model.feed_forward import FeedForward
from chatwright.model.heads import LabelHead, MaskedTokenHead, ScalarHead
from chatwright.model.linear import Linear
from chatwright.model.masks import Mask
from chatwright.model.model import Model
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors
from chatwright.model.norms import make_norm
from chatwright.model.positions import make_positions


class Encoder(Model):
    """An encoder. (B, T) -> (B, T, V) with the default head."""

    config: EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        """Allocate the model; `init_weights` or a checkpoint gives the parameters their values."""
        super().__init__()
        self.config = config
        d_model, d_embedding = config.d_model, config.d_embedding
        # Size of the sum of word, position and token type embeddings.
        d_sum = d_model if config.projected == "words" else d_embedding
        self.embedding = _embedding_table(config.vocab_size, d_embedding)
        self.position_embedding, self.rotary = make_positions(
            config.position,
            config.position_offset + config.context_length,
            d_sum,
            config.head_dim,
            config.rotary_base,
        )
        self.token_type_embedding: nn.Embedding | None = None
        if config.n_token_type:
            self.token_type_embedding = _embedding_table(config.n_token_type, d_sum)
        self.ngrams = _make_ngrams(config, d_sum) if config.ngrams else None
        self.embedding_norm: nn.Module = nn.Identity()
        if config.embedding_norm:
            self.embedding_norm = make_norm(config.norm, d_sum, config.norm_eps)
        self.projection: Linear | None = None
        if config.trigram_input or d_embedding != d_model:
            n_joined = 3 if config.trigram_input else 1
            self.projection = Linear(n_joined * d_embedding, d_model, bias=True)
        self.token_dropout = Dropout(config.token_dropout)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(_make_block(config) for _ in range(config.n_distinct_block))
        self.norm: nn.Module = nn.Identity()
        if config.norm_first:
            self.norm = make_norm(config.norm, d_model, config.norm_eps)
        self.head = _make_masked_token_head(config) if config.head == "masked_lm" else None
        self.label_head: LabelHead | None = None
        if config.head == "labels" or (config.head == "none" and config.pooler != "none"):
            n_label = len(config.labels)
            self.label_head = LabelHead(d_model, n_label, config.pooler, config.label_dropout)
        self.scalar_head = ScalarHead(d_model) if config.head == "scalar" else None

    def forward(
        self,
        token_ids: Tensor,
        mask: Mask = None,
        positions: Tensor | None = None,
        token_types: Tensor | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """Compute the output of the head that `config.head` names.

        masked_lm: logits of the token at every position, (B, T) -> (B, T, V).
        labels: (B, T) -> (B, L). scalar: (B, T) -> (B,). none: (B, T) -> (B, T, D).

        Args:
            token_ids: (B, T).
            mask: Which tokens each token sees: `masks.padding` for texts of different lengths,
                `masks.same_document` where a row holds several texts.
            positions: (B, T), needed where a row holds several texts.
            token_types: (B, T), first or second text of a pair. Default: 0 everywhere.
            dtype: dtype of the activations; default: that of the weights.
            head_gates: (n_layer, H) factors of the attention heads' outputs; 0 switches a head off.
        """
        reads_first_only = self.config.head in ("labels", "scalar")
        hidden = self.hidden_states(
            token_ids, mask, positions, token_types, dtype, head_gates, reads_first_only
        )
        if self.head is not None:
            token_logits: Tensor = self.head(hidden, self.embedding.weight)
            return token_logits
        if self.config.head == "labels" and self.label_head is not None:
            label_logits: Tensor = self.label_head(hidden[:, 0])
            return label_logits
        if self.scalar_head is not None:
            scores: Tensor = self.scalar_head(hidden[:, 0])
            return scores
        return hidden

    def hidden_states(
        self,
        token_ids: Tensor,
        mask: Mask = None,
        positions: Tensor | None = None,
        token_types: Tensor | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
        first_only: bool = False,
    ) -> Tensor:
        """Return the output of the last layer, before any head. (B, T) -> (B, T, D).

        With `first_only` the last layer computes only the first token: (B, T) -> (B, 1, D).
        `forward` explains the other arguments.
        """
        T, context_length = token_ids.shape[1], self.config.context_length
        assert context_length >= T, (
            f"{T} tokens do not fit a context of {context_length}; the caller must cut"
        )
        x = self.dropout(self._embed(token_ids, positions, token_types, dtype))
        rotary = None if self.rotary is None else self.rotary(positions, T, x.dtype)
        mask = masks.for_training(mask, T, x)
        for layer in range(self.config.n_layer):
            # ALBERT: consecutive layers share a block.
            block = self.blocks[layer * self.config.n_distinct_block // self.config.n_layer]
            assert isinstance(block, Block | BottleneckBlock), "_make_block makes no other kind"
            gates = None if head_gates is None else head_gates[layer]
            is_last = layer == self.config.n_layer - 1
            compute = block.first if first_only and is_last else block
            x = compute(x, mask, rotary, head_gates=gates)
        return self.norm(x)

    def _embed(
        self,
        token_ids: Tensor,
        positions: Tensor | None,
        token_types: Tensor | None,
        dtype: torch.dtype | None,
    ) -> Tensor:
        """Sum the embeddings of tokens, positions, token types and n-grams. (B, T) -> (B, T, D)."""
        x = self.token_dropout.drop_vectors(self.embedding(token_ids))  # (B, T, d_embedding)
        if self.projection is not None and self.config.projected == "words":
            x = self.projection(_with_neighbors(x) if self.config.trigram_input else x)
        if self.position_embedding is not None:
            indices = positions
            if indices is None:
                indices = torch.arange(token_ids.shape[1], device=x.device)
            x = x + self.position_embedding(indices + self.config.position_offset)
        if self.token_type_embedding is not None:
            if token_types is None:
                token_types = torch.zeros_like(token_ids)
            x = x + self.token_type_embedding(token_types)
        if self.ngrams is not None:
            no_token = self.config.vocab_size
            preceding = predecessors(token_ids, positions, self.ngrams.reach, no_token)
            x = x + self.ngrams(token_ids, preceding)
        x = self.embedding_norm(x if dtype is None else x.to(dtype))
        if self.projection is not None and self.config.projected == "sum":
            x = self.projection(x)
        return x


def _embedding_table(n_row: int, size: int) -> nn.Embedding:
    # Give nn.Embedding its weight, or it draws one from torch's global generator.
    return nn.Embedding(n_row, size, _weight=torch.empty(n_row, size))


def _with_neighbors(x: Tensor) -> Tensor:
    """Join the vectors of the next token, the token itself and the previous one.

    (B, T, E) -> (B, T, 3E). Beyond the ends of the row the vectors are zero.
    """
    following = F.pad(x[:, 1:], (0, 0, 0, 1))
    previous = F.pad(x[:, :-1], (0, 0, 1, 0))
    return torch.cat([following, x, previous], dim=2)


def _make_ngrams(config: EncoderConfig, size: int) -> NgramEmbedding:
    return NgramEmbedding(
        config.vocab_size, size, config.ngrams, config.ngram_rows, config.ngram_dropout
    )


def _make_block(config: EncoderConfig) -> nn.Module:
    if config.bottleneck:
        return BottleneckBlock(
            config.d_model,
            config.bottleneck,
            config.d_ff,
            config.n_head,
            config.n_feed_forward,
            config.activation,
            config.norm,
            config.norm_eps,
            config.bottleneck_values,
            config.dropout,
        )
    attention = Attention(
        config.d_model,
        config.n_head,
        config.n_head,
        config.head_dim,
        config.bias,
        config.qk_norm,
        config.norm_eps,
    )
    return Block(
        attention,
        make_norm(config.norm, config.d_model, config.norm_eps),
        FeedForward(config.d_model, config.d_ff, config.activation, config.bias),
        make_norm(config.norm, config.d_model, config.norm_eps),
        config.norm_first,
        config.dropout,
    )


def _make_masked_token_head(config: EncoderConfig) -> MaskedTokenHead:
    return MaskedTokenHead(
        config.d_model,
        config.d_model if config.wide_head else config.d_embedding,
        config.d_embedding,
        config.vocab_size,
        config.head_activation,
        config.head_norm,
        config.norm_eps,
        config.bias,
    )


def init_weights(model: Encoder, generator: torch.Generator) -> None:
    """Set all parameters to their initial values, drawn from `generator`.

    Biases, n-gram tables, the last layer of label and scalar heads: 0, so that a fresh classifier
    gives every label the same probability. Norm weights: 1. Matrices: normal(0, 0.02), divided by
    sqrt(2 n_layer) where they write into the residual stream.
    """
    zero_tables = ("ngrams.", "label_head.labels.", "scalar_head.")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("bias") or name.startswith(zero_tables):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
                std = 0.02 / (2 * model.config.n_layer) ** 0.5 if writes_to_residual else 0.02
                parameter.normal_(0.0, 1.0, generator=generator).mul_(std)
