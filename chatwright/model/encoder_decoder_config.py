"""Settings of an encoder-decoder. `encoder_decoder_presets.py` names the published combinations."""

from dataclasses import dataclass
from typing import Literal

from chatwright.model.feed_forward import Activation
from chatwright.model.norms import NormKind
from chatwright.model.positions import PositionKind
from chatwright.model.setting_checks import (
    require_at_least,
    require_dropout_rates,
    require_even_head_dim,
)


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderConfig:
    """Settings of an encoder-decoder."""

    vocab_size: int
    """Number of tokens in the vocabulary, which source and target share."""
    context_length: int = 256
    """Longest source and longest target that the model can read, in tokens."""
    n_encoder_layer: int = 6
    """Number of encoder blocks."""
    n_decoder_layer: int = 6
    """Number of decoder blocks."""
    n_head: int = 8
    """Number of attention heads."""
    head_dim: int = 64
    """Size of one head; n_head * head_dim need not equal d_model."""
    d_model: int = 512
    """Size of each token's vector between the blocks."""
    d_ff: int = 2048
    """Size of each token's vector inside the feed-forward network."""
    activation: Activation = "relu"
    """Activation of the feed-forward network."""
    norm: NormKind = "layer"
    """Kind of normalization."""
    norm_eps: float = 1e-5
    """Number added to the variance before the root, against division by zero."""
    norm_first: bool = False
    """Pre-norm, with one more norm after the encoder and after the decoder. False: post-norm."""
    qk_norm: bool = False
    """Normalize queries and keys in every head."""
    bias: bool = True
    """Whether the linear layers in the blocks have a bias."""
    position: PositionKind = "sinusoidal"
    """Kind of position encoding."""
    rotary_base: float = 10_000.0
    """Base of the rotary frequencies (theta in the paper)."""
    embedding_scale: bool = True
    """Multiply embeddings by sqrt(d_model)."""
    tied: bool = True
    """Whether the head uses the embedding matrix."""
    head_bias: bool = False
    """Whether the head has a bias."""
    start_id: int | None = None
    """Token id that starts every target. None: the tokenizer's <bos>."""
    init: Literal["xavier", "zero"] = "xavier"
    """Initial weights: as in Vaswani et al. 2017, or blocks that start as the identity (zero)."""
    dropout: float = 0.1
    """Dropout rate of each block's additions to the residual stream."""
    embedding_dropout: float = 0.1
    """Dropout rate of the embeddings."""
    token_dropout: float = 0.0
    """Share of tokens whose embedding is left out in training (Iyyer et al. 2015)."""

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "context_length", "n_encoder_layer", "n_decoder_layer", "n_head")
        require_at_least(self, 1, *sizes, "head_dim", "d_model", "d_ff")
        require_even_head_dim(self)
        require_dropout_rates(self, "dropout", "embedding_dropout", "token_dropout")
