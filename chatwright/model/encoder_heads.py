"""What an encoder ends in: a guess for every masked token, or one label for the whole text read off <cls>.

Masked tokens: Devlin et al. 2018, section 3.1. The decoder is the embedding matrix again, transposed, plus a bias for each token.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from chatwright.model.dropout import Dropout
from chatwright.model.linear import Fused, Linear
from chatwright.model.norms import NormKind, make_norm

PoolerKind = Literal["none", "tanh", "relu"]


class MaskedTokenHead(nn.Module):
    """dense, activation, norm, then one score for each token of the vocabulary.

    The features are as wide as the embeddings they are compared with. MobileBERT keeps them wider: the columns that its narrow embeddings
    lack have a matrix of their own, `extra`.
    """

    def __init__(
        self,
        d_model: int,
        features: int,
        embedding_width: int,
        vocab_size: int,
        activation: Fused,
        norm: NormKind,
        norm_eps: float,
        bias: bool,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.dense = Linear(d_model, features, bias)
        self.norm = make_norm(norm, features, norm_eps)
        self.extra = (
            nn.Parameter(torch.empty(vocab_size, features - embedding_width))
            if features > embedding_width
            else None
        )
        self.bias = nn.Parameter(torch.empty(vocab_size)) if bias else None

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(..., D), (V, E) -> (..., V)"""
        features, weight = self.comparison(hidden, embedding)
        logits = nn.functional.linear(features, weight.to(features.dtype))
        return logits if self.bias is None else logits + self.bias.to(logits.dtype)

    def comparison(self, hidden: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """(..., F) features and (V, F) weights, whose product is the logits but for the bias."""
        features = self.norm(self.dense(hidden, self.activation))
        return features, embedding if self.extra is None else torch.cat(
            [embedding, self.extra], dim=1
        )


class LabelHead(nn.Module):
    """The first token's last vector -> (dense, activation) -> one score for each label. (B, T, D) -> (B, L)

    The dense layer is BERT's pooler (tanh), RoBERTa's first layer (tanh), DistilBERT's (relu); "none" has none, like MobileBERT.
    """

    def __init__(self, d_model: int, n_label: int, pooler: PoolerKind, dropout: float) -> None:
        super().__init__()
        self.pooler = pooler
        self.dense = None if pooler == "none" else Linear(d_model, d_model, bias=True)
        self.dropout = Dropout(dropout)
        self.labels = Linear(d_model, n_label, bias=True) if n_label else None

    def pooled(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, D)"""
        first = hidden[:, 0]
        if self.dense is None:
            return first
        return self.dense(first).tanh() if self.pooler == "tanh" else self.dense(first).relu()

    def forward(self, hidden: Tensor) -> Tensor:
        assert self.labels is not None, "a model without labels gives vectors, not labels"
        return self.labels(self.dropout(self.pooled(hidden)))
