"""The encoder: every token sees every other, in both directions (BERT, Devlin et al. 2018, and what came of it).

    tokens -> embedding (+ position + token type) -> n_layer x block -> masked-token head, or label head on the first token, <cls>

BERT, RoBERTa, DistilBERT, ALBERT and MobileBERT are settings of the same parts (`encoder_presets.py`); the default is our own: norms first,
RMS norm, rotary positions, SwiGLU, small enough to be trained from nothing on a CPU.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model import masks
from chatwright.model.attention import Attention
from chatwright.model.block import Block
from chatwright.model.bottleneck import BottleneckBlock
from chatwright.model.dropout import Dropout
from chatwright.model.encoder_heads import LabelHead, MaskedTokenHead, PoolerKind
from chatwright.model.feed_forward import Activation, FeedForward
from chatwright.model.linear import Fused, Linear
from chatwright.model.masks import Mask
from chatwright.model.model import Model
from chatwright.model.ngram_embedding import NgramEmbedding, predecessors
from chatwright.model.norms import NormKind, make_norm
from chatwright.model.positions import PositionKind, make_positions

Task = Literal["masked-lm", "classify", "embed"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    vocab_size: int
    context_length: int = 512  # most tokens the model can look at
    n_layer: int = 4
    n_block: int = 0  # blocks with weights of their own; fewer than n_layer serve several layers each (ALBERT). 0: each layer its own
    n_head: int = 4
    head_dim: int = 32
    d_model: int = 128  # numbers per token in the residual stream
    d_ff: int = 384  # numbers per token inside the feed-forward
    activation: Activation = "swiglu"
    norm: NormKind = "rms"
    norm_eps: float = 1e-6
    norm_first: bool = True  # False is BERT's post-norm
    qk_norm: bool = False
    bias: bool = False
    position: PositionKind = "rotary"
    rotary_base: float = 10_000.0
    first_position: int = (
        0  # the row of the position table that a text's first token takes (RoBERTa: 2)
    )
    n_token_type: int = 0  # kinds of sentence that get an embedding: first and second of a pair
    embedding_norm: bool = False  # a norm between embeddings and blocks
    embedding_width: int = (
        0  # narrower embeddings than the stream (ALBERT, MobileBERT); 0 is the same
    )
    projects: Literal["words", "sum"] = (
        "sum"  # what is brought to full width: the words alone, or words, positions and types, normed (ALBERT)
    )
    neighbours: bool = False  # each word's embedding stands between those of its neighbours before it is projected (MobileBERT)
    bottleneck: int = 0  # numbers per token inside a block (MobileBERT); 0: as in the stream
    narrow_values: bool = False  # with a bottleneck: values come from inside it too
    n_feed_forward: int = 1  # with a bottleneck: feed-forwards one after another
    ngrams: tuple[int, ...] = ()  # lengths of token runs that get an embedding of their own
    ngram_rows: int = 16_384
    ngram_dropout: float = 0.0
    task: Task = "masked-lm"  # what the model ends in: a guess for each token, a label for the text, or nothing
    labels: tuple[str, ...] = ()  # names, in the order of the label head's scores
    pooler: PoolerKind = "none"  # the layer between <cls> and the labels
    head_activation: Fused = "gelu_exact"  # of the masked-token head
    head_norm: NormKind = "layer"
    wide_head: bool = False  # the masked-token head compares at full width though embeddings are narrow (MobileBERT)
    dropout: float = 0.0  # of what each block adds to the residual stream
    embedding_dropout: float = 0.0
    token_dropout: float = 0.0  # share of tokens whose own embedding is left out in training: an augmentation (Iyyer et al. 2015)
    label_dropout: float = 0.0  # of the vector that the labels are read off

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "context_length",
            "n_layer",
            "n_head",
            "head_dim",
            "d_model",
            "d_ff",
            "n_feed_forward",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")
        if self.n_block and self.n_layer % self.n_block:
            raise ValueError(
                f"n_layer ({self.n_layer}) must be a multiple of n_block ({self.n_block}), so that every block serves as many layers"
            )
        if self.position == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"head_dim ({self.head_dim}) must be even for rotary positions, which turn pairs of numbers"
            )
        if (self.task == "classify") != (len(self.labels) > 0):
            raise ValueError(
                f'labels ({list(self.labels)}) belong to task = "classify" and to no other; task is {self.task!r}'
            )
        if len(self.labels) == 1 or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels ({list(self.labels)}) must be two or more different names")
        if self.n_feed_forward > 1 and not self.bottleneck:
            raise ValueError(
                f"n_feed_forward ({self.n_feed_forward}) above 1 goes with a bottleneck (MobileBERT): give one, or leave it 1"
            )
        if self.bottleneck and (self.norm_first or self.bottleneck % self.n_head):
            raise ValueError(
                f"bottleneck ({self.bottleneck}) must be a multiple of n_head ({self.n_head}) and goes with norm_first = false"
            )
        if self.neighbours and self.projects == "sum":
            raise ValueError(
                'neighbours = true goes with projects = "words": neighbouring words are joined before positions are added'
            )
        if any(n < 2 for n in self.ngrams) or len(set(self.ngrams)) < len(self.ngrams):
            raise ValueError(
                f"ngrams ({self.ngrams}) must be distinct run lengths of at least 2, for example [2, 3]"
            )
        for name in (
            "dropout",
            "embedding_dropout",
            "token_dropout",
            "ngram_dropout",
            "label_dropout",
        ):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 0 and below 1")

    @property
    def word_width(self) -> int:
        return self.embedding_width or self.d_model

    @property
    def n_own_block(self) -> int:
        return self.n_block or self.n_layer


class Encoder(Model):
    config: EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        summed = config.d_model if config.projects == "words" else config.word_width
        self.embedding = _table(config.vocab_size, config.word_width)
        self.position_embedding, self.rotary = make_positions(
            config.position,
            config.first_position + config.context_length,
            summed,
            config.head_dim,
            config.rotary_base,
        )
        self.token_type_embedding = (
            _table(config.n_token_type, summed) if config.n_token_type else None
        )
        self.ngrams = (
            NgramEmbedding(
                config.vocab_size, summed, config.ngrams, config.ngram_rows, config.ngram_dropout
            )
            if config.ngrams
            else None
        )
        self.embedding_norm = (
            make_norm(config.norm, summed, config.norm_eps)
            if config.embedding_norm
            else nn.Identity()
        )
        n_joined = 3 if config.neighbours else 1
        needs_projection = config.neighbours or config.word_width != config.d_model
        self.projection = (
            Linear(n_joined * config.word_width, config.d_model, bias=True)
            if needs_projection
            else None
        )
        self.token_dropout = Dropout(config.token_dropout)
        self.dropout = Dropout(config.embedding_dropout)
        self.blocks = nn.ModuleList(_make_block(config) for _ in range(config.n_own_block))
        self.norm = (
            make_norm(config.norm, config.d_model, config.norm_eps)
            if config.norm_first
            else nn.Identity()
        )
        self.head = _make_masked_head(config) if config.task == "masked-lm" else None
        has_pooler = config.task == "classify" or (
            config.task == "embed" and config.pooler != "none"
        )
        self.label_head = (
            LabelHead(config.d_model, len(config.labels), config.pooler, config.label_dropout)
            if has_pooler
            else None
        )

    def forward(
        self,
        token_ids: Tensor,
        mask: Mask = None,
        positions: Tensor | None = None,
        token_types: Tensor | None = None,
        dtype: torch.dtype | None = None,
        head_gates: Tensor | None = None,
    ) -> Tensor:
        """What the task asks for: (B, T) -> (B, T, V) scores of tokens, (B, L) scores of labels, or (B, T, D) vectors.

        mask says who may be looked at (`masks.padding` for texts of several lengths); positions (B, T) are needed where several texts
        share a row; head_gates (n_layer, H) switches heads off (0) or leaves them on (1).
        """
        hidden = self.hidden_states(
            token_ids,
            mask,
            positions,
            token_types,
            dtype,
            head_gates,
            first_only=self.config.task == "classify",
        )
        if self.head is not None:
            return self.head(hidden, self.embedding.weight)
        return (
            self.label_head(hidden)
            if self.label_head is not None and self.config.labels
            else hidden
        )

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
        """The last layer's output, before any head. (B, T) -> (B, T, D), or (B, 1, D) where only the first token's is wanted: the last
        layer then computes nothing else.
        """
        T = token_ids.shape[1]
        assert self.config.context_length >= T, (
            f"{T} tokens do not fit a context of {self.config.context_length}; the caller must cut"
        )
        x = self.dropout(self._embed(token_ids, positions, token_types, dtype))
        rotary = None if self.rotary is None else self.rotary(positions, T, x.dtype)
        mask = masks.for_training(mask, T, x)
        for i in range(self.config.n_layer):
            block = self.blocks[i * self.config.n_own_block // self.config.n_layer]
            assert isinstance(block, Block | BottleneckBlock), "the only kinds there are"
            gates = None if head_gates is None else head_gates[i]
            is_last = i == self.config.n_layer - 1
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
        """(B, T) -> (B, T, D)"""
        x = self.token_dropout.rows(self.embedding(token_ids))  # (B, T, E)
        if self.projection is not None and self.config.projects == "words":
            x = self.projection(_between_neighbours(x) if self.config.neighbours else x)
        if self.position_embedding is not None:
            places = (
                torch.arange(token_ids.shape[1], device=x.device)
                if positions is None
                else positions
            )
            x = x + self.position_embedding(places + self.config.first_position)
        if self.token_type_embedding is not None:
            x = x + self.token_type_embedding(
                torch.zeros_like(token_ids) if token_types is None else token_types
            )
        if self.ngrams is not None:
            x = x + self.ngrams(
                token_ids,
                predecessors(token_ids, positions, self.ngrams.reach, self.config.vocab_size),
            )
        x = self.embedding_norm(x if dtype is None else x.to(dtype))
        return (
            self.projection(x)
            if self.projection is not None and self.config.projects == "sum"
            else x
        )


def _table(n_row: int, d_model: int) -> nn.Embedding:
    # nn.Embedding draws from torch's global generator when it is left to initialise itself.
    return nn.Embedding(n_row, d_model, _weight=torch.empty(n_row, d_model))


def _between_neighbours(x: Tensor) -> Tensor:
    """Each token's numbers after those of the next token and before those of the one before; zeros beyond the ends. (B, T, E) -> (B, T, 3E)"""
    return torch.cat([F.pad(x[:, 1:], (0, 0, 0, 1)), x, F.pad(x[:, :-1], (0, 0, 1, 0))], dim=2)


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
            config.narrow_values,
            config.dropout,
        )
    return Block(
        Attention(
            config.d_model,
            config.n_head,
            config.n_head,
            config.head_dim,
            config.bias,
            config.qk_norm,
            config.norm_eps,
        ),
        make_norm(config.norm, config.d_model, config.norm_eps),
        FeedForward(config.d_model, config.d_ff, config.activation, config.bias),
        make_norm(config.norm, config.d_model, config.norm_eps),
        config.norm_first,
        config.dropout,
    )


def _make_masked_head(config: EncoderConfig) -> MaskedTokenHead:
    features = config.d_model if config.wide_head else config.word_width
    return MaskedTokenHead(
        config.d_model,
        features,
        config.word_width,
        config.vocab_size,
        config.head_activation,
        config.head_norm,
        config.norm_eps,
        config.bias,
    )


def init_weights(model: Encoder, generator: torch.Generator) -> None:
    """Biases, n-gram tables and the label scores 0, norms 1, matrices normal(0, 0.02), those that write into the residual stream divided by
    sqrt(2 n_layer). A fresh classifier so finds every label equally likely.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if name.endswith("bias") or name.startswith(("ngrams.", "label_head.labels.")):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                writes_to_residual = name.endswith(("attention.output.weight", "down.weight"))
                std = 0.02 / (2 * model.config.n_layer) ** 0.5 if writes_to_residual else 0.02
                parameter.normal_(0.0, 1.0, generator=generator).mul_(std)
