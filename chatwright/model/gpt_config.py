"""Settings of a decoder. `presets.py` names the published combinations."""

from dataclasses import dataclass
from typing import Literal

from chatwright.errors import InputError
from chatwright.model.feed_forward import Activation
from chatwright.model.heads import HeadKind, check_head
from chatwright.model.norms import NormKind
from chatwright.model.positions import PositionKind, RotaryScaling
from chatwright.model.setting_checks import (
    require_at_least,
    require_dropout_rates,
    require_even_head_dim,
    require_ngram_lengths,
)

BiasedPart = Literal["qkv", "output", "feed_forward"]
HEADS: tuple[HeadKind, ...] = ("language_model", "labels", "scalar", "none")


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """Settings of a decoder."""

    vocab_size: int
    """Number of tokens in the vocabulary."""
    context_length: int = 512
    """Longest sequence the model can read, in tokens."""
    n_layer: int = 6
    """Number of blocks."""
    n_head: int = 6
    """Number of query heads."""
    n_kv_head: int = 6
    """Number of key/value heads. Fewer than n_head: groups of query heads share keys and values."""
    head_dim: int = 64
    """Size of one head; n_head * head_dim need not equal d_model."""
    d_model: int = 384
    """Size of each token's vector between the blocks."""
    d_ff: int = 1024
    """Size of each token's vector inside the feed-forward network."""
    activation: Activation = "swiglu"
    """Activation of the feed-forward network."""
    norm: NormKind = "rms"
    """Kind of normalization."""
    norm_eps: float = 1e-6
    """Number added to the variance before the root, against division by zero."""
    norm_first: bool = True
    """Normalize before each part of a block (pre-norm). False: after it (post-norm, GPT-1)."""
    sandwich_norm: bool = False
    """Normalize the output of each part of a block as well, before it is added (Gemma)."""
    qk_norm: bool = True
    """Normalize queries and keys in every head."""
    query_pre_attn_scalar: int = 0
    """Divide attention scores by the square root of this number. 0: head_dim."""
    bias: bool | tuple[BiasedPart, ...] = False
    """Which linear layers in the blocks have a bias: all (true), none (false), or named parts."""
    position: PositionKind = "rotary"
    """Kind of position encoding."""
    rotary_base: float = 10_000.0
    """Base of the rotary frequencies (theta in the paper)."""
    rotary_scaling: RotaryScaling | None = None
    """How rotary frequencies are changed for texts longer than those in training."""
    nope_layers: tuple[int, ...] = ()
    """Layers without rotary positions, counted from 0 (SmolLM 3: every fourth)."""
    window: int = 0
    """Most recent tokens that attention sees, including the current one. 0: all tokens."""
    unwindowed_layers: tuple[int, ...] = ()
    """Layers that see all tokens although `window` is set, counted from 0."""
    window_rotary_base: float = 0.0
    """Base of the rotary frequencies in layers with a window. 0: the same as in the others."""
    embedding_scale: bool = False
    """Multiply token embeddings by sqrt(d_model)."""
    tied: bool = True
    """Whether the language-model head uses the embedding matrix."""
    head: HeadKind = "language_model"
    """Output: logits of tokens (language_model) or labels, a number (scalar), or vectors (none)."""
    labels: tuple[str, ...] = ()
    """With head = labels: the label names, in the order of the scores."""
    ngrams: tuple[int, ...] = ()
    """Lengths of token n-grams that have embeddings of their own, for example [2, 3]."""
    ngram_rows: int = 16_384
    """Rows of each n-gram table. If there are more n-grams, they share rows by hash."""
    ngram_dropout: float = 0.0
    """Share of n-gram embeddings left out in training, drawn separately for each length."""
    n_previous: int = 0
    """Number of preceding tokens that each input includes, with one embedding table for each."""
    embedding_norm: bool = False
    """Apply an RMS norm without a weight between the embeddings and the first block."""
    init: Literal["gpt2", "zero"] = "gpt2"
    """Initial weights: as in GPT-2, or blocks that start as the identity (zero)."""
    dropout: float = 0.0
    """Dropout rate of each block's additions to the residual stream."""
    embedding_dropout: float = 0.0
    """Dropout rate of the embeddings."""
    token_dropout: float = 0.0
    """Share of tokens whose embedding is left out in training (Iyyer et al. 2015)."""

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "context_length", "n_layer", "n_head", "n_kv_head", "head_dim")
        require_at_least(self, 1, *sizes, "d_model", "d_ff")
        at_least_0 = ("n_previous", "window", "query_pre_attn_scalar", "window_rotary_base")
        require_at_least(self, 0, *at_least_0)
        require_even_head_dim(self)
        require_ngram_lengths(self)
        rates = ("dropout", "embedding_dropout", "token_dropout", "ngram_dropout")
        require_dropout_rates(self, *rates)
        check_head(self, HEADS)
        self._require_norm_first()
        self._require_window()
        if self.n_head % self.n_kv_head:
            raise InputError(
                f"n_head ({self.n_head}) must be a multiple of n_kv_head ({self.n_kv_head}).",
                remedy="Change one of them.",
                field="n_kv_head",
                value=self.n_kv_head,
            )
        for name in ("nope_layers", "unwindowed_layers"):
            layers = getattr(self, name)
            if any(not 0 <= layer < self.n_layer for layer in layers):
                raise InputError(
                    f"{name} ({layers}) names a layer that does not exist.",
                    remedy=f"Name layers from 0 to {self.n_layer - 1}.",
                    field=name,
                    value=layers,
                )

    def _require_norm_first(self) -> None:
        if self.sandwich_norm and not self.norm_first:
            raise InputError(
                "sandwich_norm needs norm_first: it normalizes both before and after each part.",
                remedy="Set norm_first = true, or remove sandwich_norm.",
                field="sandwich_norm",
                value=self.sandwich_norm,
            )

    def _require_window(self) -> None:
        if self.window_rotary_base and not (self.window and self.position == "rotary"):
            raise InputError(
                "window_rotary_base is for layers with a window and rotary positions.",
                remedy='Set window and position = "rotary", or remove window_rotary_base.',
                field="window_rotary_base",
                value=self.window_rotary_base,
            )

    def has_bias(self, part: BiasedPart) -> bool:
        """Whether the linear layers of this part of a block have a bias."""
        return self.bias if isinstance(self.bias, bool) else part in self.bias

    def window_of(self, layer: int) -> int:
        """Number of most recent tokens that this layer sees; 0 means all."""
        return 0 if layer in self.unwindowed_layers else self.window
