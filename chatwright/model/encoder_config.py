"""Settings of an encoder. `encoder_presets.py` names the published combinations."""

from dataclasses import dataclass
from typing import Any, Literal

from chatwright.errors import InputError
from chatwright.model.feed_forward import Activation
from chatwright.model.heads import HeadKind, PoolerKind, check_head
from chatwright.model.norms import NormKind
from chatwright.model.packed_weight import FusedActivation
from chatwright.model.pooling import PoolingKind
from chatwright.model.positions import PositionKind
from chatwright.model.setting_checks import (
    require_at_least,
    require_dropout_rates,
    require_even_head_dim,
    require_ngram_lengths,
)

HEADS: tuple[HeadKind, ...] = ("masked_lm", "labels", "scalar", "none")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Settings of an encoder."""

    vocab_size: int
    """Number of tokens in the vocabulary."""
    context_length: int = 512
    """Longest sequence the model can read, in tokens."""
    n_layer: int = 4
    """Number of layers."""
    n_block: int = 0
    """Number of blocks; consecutive layers share one (ALBERT). 0: one block per layer."""
    n_head: int = 4
    """Number of attention heads."""
    head_dim: int = 32
    """Size of one head."""
    d_model: int = 128
    """Size of each token's vector between the blocks."""
    d_ff: int = 384
    """Size of each token's vector inside the feed-forward network."""
    activation: Activation = "swiglu"
    """Activation of the feed-forward network."""
    norm: NormKind = "rms"
    """Kind of normalization."""
    norm_eps: float = 1e-6
    """Number added to the variance before the root, against division by zero."""
    norm_first: bool = True
    """Normalize before each part of a block (pre-norm). False: after it, as in BERT (post-norm)."""
    qk_norm: bool = False
    """Normalize queries and keys in every head."""
    bias: bool = False
    """Whether the linear layers in the blocks have a bias."""
    position: PositionKind = "rotary"
    """Kind of position encoding."""
    rotary_base: float = 10_000.0
    """Base of the rotary frequencies (theta in the paper)."""
    position_offset: int = 0
    """Row of the position table that the first token takes (RoBERTa: 2)."""
    n_token_type: int = 0
    """Number of token types with an embedding: first and second text of a pair. 0: none."""
    embedding_norm: bool = False
    """Normalize between the embeddings and the first block."""
    embedding_size: int = 0
    """Size of word embeddings where it differs from d_model (ALBERT, MobileBERT). 0: d_model."""
    projected: Literal["words", "sum"] = "sum"
    """What is projected to d_model: word embeddings, or their sum with positions and types."""
    trigram_input: bool = False
    """Project each word embedding together with those of both neighbors (MobileBERT)."""
    bottleneck: int = 0
    """Size of each token's vector inside a block (MobileBERT). 0: d_model."""
    bottleneck_values: bool = False
    """With a bottleneck: compute attention's values, too, from vectors of that size."""
    n_feed_forward: int = 1
    """With a bottleneck: number of feed-forward networks in each block."""
    ngrams: tuple[int, ...] = ()
    """Lengths of token n-grams that have embeddings of their own, for example [2, 3]."""
    ngram_rows: int = 16_384
    """Rows of each n-gram table. If there are more n-grams, they share rows by hash."""
    ngram_dropout: float = 0.0
    """Share of n-gram embeddings left out in training, drawn separately for each length."""
    head: HeadKind = "masked_lm"
    """Output: logits of tokens (masked_lm) or labels, a number (scalar), or vectors (none)."""
    labels: tuple[str, ...] = ()
    """With head = labels: the label names, in the order of the scores."""
    pooler: PoolerKind = "none"
    """Activation of the dense layer between [CLS] and the labels; none: no such layer."""
    pooling: PoolingKind = "mean"
    """How the vectors of a text's tokens become the text's vector, where one is asked for."""
    normalized_vectors: bool = False
    """Scale the vector of a text to length 1."""
    max_text_tokens: int = 0
    """Longest text that a vector is made of, in tokens with [CLS] and [SEP]; 0: the context."""
    head_activation: FusedActivation = "gelu_exact"
    """Activation of the masked-token head."""
    head_norm: NormKind = "layer"
    """Kind of normalization in the masked-token head."""
    wide_head: bool = False
    """Masked-token head: use features of size d_model, not embedding_size (MobileBERT)."""
    dropout: float = 0.0
    """Dropout rate of each block's additions to the residual stream."""
    embedding_dropout: float = 0.0
    """Dropout rate of the embeddings."""
    token_dropout: float = 0.0
    """Share of tokens whose embedding is left out in training (Iyyer et al. 2015)."""
    label_dropout: float = 0.0
    """Dropout rate of the vector that the label head reads."""

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "context_length", "n_layer", "n_head", "head_dim", "d_model")
        require_at_least(self, 1, *sizes, "d_ff", "n_feed_forward")
        require_at_least(self, 0, "max_text_tokens")
        require_even_head_dim(self)
        require_ngram_lengths(self)
        rates = ("dropout", "embedding_dropout", "token_dropout", "ngram_dropout", "label_dropout")
        require_dropout_rates(self, *rates)
        check_head(self, HEADS)
        if self.n_block and self.n_layer % self.n_block:
            raise self._refused(
                "n_block",
                f"must divide n_layer ({self.n_layer}): all blocks serve equally many layers.",
            )
        if self.n_feed_forward > 1 and not self.bottleneck:
            raise self._refused("n_feed_forward", "above 1 needs a bottleneck (MobileBERT).")
        if self.bottleneck and (self.norm_first or self.bottleneck % self.n_head):
            raise self._refused(
                "bottleneck",
                f"must be a multiple of n_head ({self.n_head}) and needs norm_first = false.",
            )
        if self.trigram_input and self.projected == "sum":
            raise self._refused(
                "trigram_input",
                'needs projected = "words": neighbors are joined before positions are added.',
            )

    def _refused(self, name: str, reason: str) -> InputError:
        value: Any = getattr(self, name)
        return InputError(
            f"{name} ({value}) {reason}",
            remedy="Correct one of the settings, or remove it.",
            field=name,
            value=value,
        )

    @property
    def d_embedding(self) -> int:
        """Size of word embeddings."""
        return self.embedding_size or self.d_model

    @property
    def n_distinct_block(self) -> int:
        """Number of blocks that do not share weights."""
        return self.n_block or self.n_layer

    @property
    def text_length(self) -> int:
        """Longest text that a text's vector is computed from, in tokens."""
        return min(self.max_text_tokens or self.context_length, self.context_length)

    @property
    def makes_vectors(self) -> bool:
        """Whether the output is vectors, or settings say how a text becomes a vector."""
        is_plain = self.pooling == "mean" and not self.normalized_vectors
        return self.head == "none" or not is_plain or self.max_text_tokens > 0
