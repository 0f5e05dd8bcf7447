"""Heads: layers that turn the last hidden states into token logits, label logits or one number.

    language_model   every vector -> one logit per token of the vocabulary    (B, T, D) -> (B, T, V)
    masked_lm        the same, through a dense layer and a norm               (B, T, D) -> (B, T, V)
    labels           one vector per text -> one logit per label               (B, D) -> (B, L)
    scalar           one vector -> one number: a reward, or a value           (..., D) -> (...)
    none             the vectors themselves                                   (B, T, D)

A model's `head` setting chooses one. Everything before the head is the trunk, which does not depend
on that choice. Label and scalar heads read a decoder's last token and an encoder's first ([CLS]).
"""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from chatwright.errors import InputError
from chatwright.model.dropout import Dropout
from chatwright.model.linear import Linear
from chatwright.model.norms import NormKind, make_norm
from chatwright.model.packed_weight import FusedActivation

HeadKind = Literal["language_model", "masked_lm", "labels", "scalar", "none"]
PoolerKind = Literal["none", "tanh", "relu"]

HEAD_MODULES = ("head", "label_head", "scalar_head")
"""Attributes of a model that hold a head. Every other parameter belongs to the trunk."""


class HeadConfig(Protocol):
    """The settings that choose a head; every model config with a `head` field has them."""

    @property
    def head(self) -> HeadKind:
        """Kind of head."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names, in the order of the label head's scores."""
        ...


def check_head(config: HeadConfig, allowed: tuple[HeadKind, ...]) -> None:
    """Raise InputError for a head that is not allowed, or for labels that do not fit the head."""
    names = list(config.labels)
    if config.head not in allowed:
        raise InputError(
            f"head = {config.head!r} does not exist for this architecture.",
            remedy=f"Choose one of {', '.join(allowed)}.",
            field="head",
            value=config.head,
        )
    if (config.head == "labels") != bool(names):
        raise InputError(
            f"labels = {names} do not fit head = {config.head!r}: only a label head has labels.",
            remedy='Set head = "labels" together with the label names, or remove the labels.',
            field="labels",
            value=names,
        )
    if len(names) == 1 or len(set(names)) < len(names):
        raise InputError(
            f"labels = {names}: a classifier needs at least two labels, all different.",
            remedy="Remove repeated names, or add a second label.",
            field="labels",
            value=names,
        )


def is_head_parameter(name: str) -> bool:
    """Whether the parameter with this full name belongs to a head."""
    return name.split(".", 1)[0] in HEAD_MODULES


def last_token(hidden: Tensor, lengths: Tensor | None) -> Tensor:
    """Take the vector of the last token of each row. (B, T, D), (B,) -> (B, D)."""
    if lengths is None:
        return hidden[:, -1]
    return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]


def make_language_model_head(embedding: nn.Embedding, tied: bool, bias: bool = False) -> Linear:
    """Make a linear layer (..., D) -> (..., V); `tied` shares the embedding matrix."""
    vocab_size, d_model = embedding.weight.shape
    head = Linear(d_model, vocab_size, bias)
    if tied:
        head.weight = embedding.weight  # type: ignore[assignment]
    return head


class MaskedTokenHead(nn.Module):
    """Dense layer, activation, norm, then one logit per token (Devlin et al. 2018, section 3.1).

    The logits are products of the features (size F) with the embedding matrix (size E), plus a
    bias. Usually F = E. MobileBERT's features are larger than its embeddings; `extra` (V, F - E)
    then supplies the missing columns of the matrix.
    """

    def __init__(
        self,
        d_model: int,
        n_feature: int,
        embedding_size: int,
        vocab_size: int,
        activation: FusedActivation,
        norm: NormKind,
        norm_eps: float,
        bias: bool,
    ) -> None:
        """Allocate the layers; `bias` gives the dense layer and the logits a bias each."""
        super().__init__()
        self.activation = activation
        self.dense = Linear(d_model, n_feature, bias)
        self.norm = make_norm(norm, n_feature, norm_eps)
        self.extra: nn.Parameter | None = None
        if n_feature > embedding_size:
            self.extra = nn.Parameter(torch.empty(vocab_size, n_feature - embedding_size))
        self.bias = nn.Parameter(torch.empty(vocab_size)) if bias else None

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Score every token of the vocabulary. (..., D), (V, E) -> (..., V)."""
        features, weight = self.features_and_weight(hidden, embedding)
        logits = nn.functional.linear(features, weight.to(features.dtype))
        return logits if self.bias is None else logits + self.bias.to(logits.dtype)

    def features_and_weight(self, hidden: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two factors of the logits, without the bias.

        (..., D), (V, E) -> (..., F), (V, F).
        """
        features = self.norm(self.dense(hidden, self.activation))
        weight = embedding if self.extra is None else torch.cat([embedding, self.extra], dim=1)
        return features, weight


class LabelHead(nn.Module):
    """Optional dense layer with activation, then one logit per label. (B, D) -> (B, L).

    The dense layer is BERT's pooler (tanh), RoBERTa's first layer (tanh) or DistilBERT's (ReLU).
    With pooler "none" there is no dense layer, as in MobileBERT and in decoders.
    """

    def __init__(
        self, d_model: int, n_label: int, pooler: PoolerKind, dropout: float, bias: bool = True
    ) -> None:
        """Allocate the layers; n_label = 0 makes only the dense layer (a published pooler)."""
        super().__init__()
        self.pooler = pooler
        self.dense = None if pooler == "none" else Linear(d_model, d_model, bias=True)
        self.dropout = Dropout(dropout)
        self.labels = Linear(d_model, n_label, bias) if n_label else None

    def pooled(self, text_vector: Tensor) -> Tensor:
        """Apply the dense layer and its activation. (B, D) -> (B, D)."""
        if self.dense is None:
            return text_vector
        dense = self.dense(text_vector)
        return dense.tanh() if self.pooler == "tanh" else dense.relu()

    def forward(self, text_vector: Tensor) -> Tensor:
        """Score every label. (B, D) -> (B, L)."""
        assert self.labels is not None, "a pooler without labels gives vectors, not scores"
        return self.labels(self.dropout(self.pooled(text_vector)))


class ScalarHead(nn.Module):
    """One number per vector: the reward of a reply, or the value at a token. (..., D) -> (...).

    There is no bias: a reward matters only in comparison with other rewards.
    """

    def __init__(self, d_model: int) -> None:
        """Allocate the layer."""
        super().__init__()
        self.score = Linear(d_model, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (...)."""
        scores: Tensor = self.score(hidden)[..., 0]
        return scores
