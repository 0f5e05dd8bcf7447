"""Look at every step of a decoder while it reads a text.

    trace = trace_decoder(model, token_ids)
    trace.attention(layer=3)      # (H, T, T): how much each token attends to each earlier one
    trace.next_log_probs(5)       # (V,): the distribution after the sixth token
    trace.logit_lens(5, k=3)      # the next token as each layer would predict it

A trace stores the input of every layer. Attention weights are computed when they are asked for, of
the queries and heads in question only: those of all layers together may take gigabytes. The model
may be one that is being served; nothing in it is changed. Heads are switched off by `head_gates`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chatwright.errors import InputError
from chatwright.model.block import Block
from chatwright.model.gpt import GPT
from chatwright.model.head_gates import head_gates
from chatwright.model.head_name import Head

Floats = NDArray[np.float32]


class TokenProbability(NamedTuple):
    """A token and its probability."""

    token_id: int
    probability: float


@dataclass(frozen=True)
class TokenScores:
    """How well the model predicted each of some successive tokens; arrays of equal length."""

    log_probs: Floats
    ranks: NDArray[np.int64]
    """Number of tokens that were more probable."""
    best: NDArray[np.int64]
    """The most probable token in its place."""


@dataclass(frozen=True)
class _LayerInput:
    x: Tensor  # (1, T, D)
    arguments: tuple[Any, ...]  # mask, rotary, cache, head gates


class DecoderTrace:
    """What a decoder computed while it read a text of T tokens."""

    def __init__(
        self, model: GPT, token_ids: Sequence[int], inputs: list[_LayerInput], last: Tensor
    ) -> None:
        """Take the inputs of all layers and the output of the last one, (1, T, D)."""
        self.model = model
        self.token_ids = tuple(token_ids)
        self._inputs = inputs
        self._last = last

    @property
    def n_layer(self) -> int:
        """Number of layers."""
        return len(self._inputs)

    def hidden(self, layer: int) -> Floats:
        """Return the input of a layer, or with layer = n_layer the last one's output. (T, D)."""
        x = self._last if layer == self.n_layer else self._input(layer).x
        return _numpy(x[0])

    def attention(self, layer: int) -> Floats:
        """Return the attention weights of a layer, of every head, query and key. (H, T, T).

        Each row sums to 1. Later tokens have weight 0.
        """
        every = range(self.model.config.n_head)
        return self._weights(layer, range(len(self.token_ids)), every)

    def head_attention(
        self, layer: int, head: int, first: int = 0, rows: int | None = None
    ) -> Floats:
        """Return the attention weights of one head, of `rows` queries from `first` on. (rows, T).

        Only these are computed. By default all; (T, T).

        Raises:
            InputError: There is no such layer or head.
        """
        n_head, n_token = self.model.config.n_head, len(self.token_ids)
        if not 0 <= head < n_head:
            raise InputError(
                f"head {head}: layer {layer} has heads 0 to {n_head - 1}.",
                remedy="Choose one of them.",
                field="head",
                value=head,
            )
        first = min(first, n_token)
        end = n_token if rows is None else min(first + rows, n_token)
        one: Floats = self._weights(layer, range(first, end), range(head, head + 1))[0]
        return one

    def attention_from(self, position: int) -> Iterator[Floats]:
        """Yield for each layer the attention weights of one query, of every head. (H, T)."""
        every = range(self.model.config.n_head)
        for layer in range(self.n_layer):
            yield self._weights(layer, range(position, position + 1), every)[:, 0]

    @torch.no_grad()
    def _weights(self, layer: int, queries: range, heads: range) -> Floats:
        """Compute attention weights of a layer. (len(heads), len(queries), T)."""
        inputs = self._input(layer)
        block = self.model.blocks[layer]
        assert isinstance(block, Block), "a decoder consists of blocks"
        mask, rotary = inputs.arguments[:2]
        x = block.attention_norm(inputs.x) if block.norm_first else inputs.x
        return _numpy(block.attention.some_weights(x, mask, rotary, queries, heads)[0])

    def index_of(self, position: int) -> int:
        """Return a position counted from the beginning; -1 is the last token.

        Raises:
            InputError: The text has no such token.
        """
        n_token = len(self.token_ids)
        if not -n_token <= position < n_token:
            raise InputError(
                f"position {position}: the text has {n_token} tokens.",
                remedy=f"Give a number from 0 to {n_token - 1}, or -1 for the last token.",
                field="position",
                value=position,
            )
        return position % n_token

    @torch.no_grad()
    def logits(self, position: int) -> Floats:
        """Return the logits of the token after `position`. (V,)."""
        return _numpy(self._head(self._last[0, position]))

    @torch.no_grad()
    def next_log_probs(self, position: int) -> Floats:
        """Return the log-probabilities of the token after `position`. (V,)."""
        logits = self._head(self._last[0, position])
        return _numpy(logits.double().log_softmax(dim=-1).float())

    def token_log_probs(self) -> Floats:
        """Return the log-probability of each token after the first, given those before. (T - 1,).

        Low values are surprising tokens.
        """
        return self.token_scores().log_probs

    @torch.no_grad()
    def token_scores(self, first: int = 1) -> TokenScores:
        """Return how well each token from `first` on was predicted from those before it.

        The arrays have T - `first` entries. The logits of other tokens are not computed.
        """
        states = self._last[0, first - 1 : -1]
        targets = torch.tensor(self.token_ids[first:], dtype=torch.long, device=states.device)
        log_probs, ranks, best = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0, int)]
        for start in range(0, len(targets), 64):  # all logits together may take gigabytes
            logits = self._head(states[start : start + 64])  # (64, V)
            found = logits.gather(1, targets[start : start + 64, None])
            log_probs.append((found[:, 0] - logits.logsumexp(dim=-1)).cpu().numpy())
            ranks.append((logits > found).sum(dim=-1).cpu().numpy())
            best.append(logits.argmax(dim=-1).cpu().numpy())
        return TokenScores(
            np.concatenate(log_probs).astype(np.float32),
            np.concatenate(ranks),
            np.concatenate(best),
        )

    @torch.no_grad()
    def next_tokens(self, position: int, k: int = 10) -> list[TokenProbability]:
        """Return the k most probable tokens after `position`, most probable first."""
        return _most_probable(self._head(self._last[0, position]), k)

    @torch.no_grad()
    def logit_lens(self, position: int, k: int = 5) -> list[list[TokenProbability]]:
        """Return the most probable next tokens as each layer's output would predict them.

        The final norm and the head read the residual stream after each layer (nostalgebraist
        2020). The last entry is the model's own prediction.
        """
        outputs = [inputs.x[0, position] for inputs in self._inputs[1:]]
        outputs.append(self._last[0, position])
        return [_most_probable(self._head(state), k) for state in outputs]

    def _head(self, states: Tensor) -> Tensor:
        """(..., D) -> (..., V)."""
        assert self.model.head is not None, "trace_decoder refuses a model without it"
        # At least two rows: the packed kernels give the same bits from two rows up.
        rows = states.reshape(-1, states.shape[-1])
        logits: Tensor = self.model.head(self.model.norm(torch.cat([rows, rows[-1:]])))
        return logits[:-1].reshape(*states.shape[:-1], -1)

    def _input(self, layer: int) -> _LayerInput:
        if not 0 <= layer < self.n_layer:
            raise InputError(
                f"layer {layer}: the model has layers 0 to {self.n_layer - 1}.",
                remedy="Choose one of them.",
                field="layer",
                value=layer,
            )
        return self._inputs[layer]


@torch.no_grad()
def trace_decoder(
    model: GPT, token_ids: Sequence[int], heads_off: Collection[Head] = ()
) -> DecoderTrace:
    """Let a decoder read a text, and store the input of each layer.

    Args:
        model: A decoder with a language-model head, perhaps one that is being served.
        token_ids: The text, from its first token on.
        heads_off: Attention heads whose outputs are set to 0.

    Raises:
        InputError: The text is empty or too long, a token or a head does not exist, or the model
            has another head.
    """
    _check(model, token_ids)
    config = model.config
    gates = head_gates(config.n_layer, config.n_head, heads_off, model.device)
    inputs: list[_LayerInput] = []

    def store(_block: object, arguments: tuple[Any, ...]) -> None:
        inputs.append(_LayerInput(arguments[0], arguments[1:]))

    last: list[Tensor] = []
    hooks = [block.register_forward_pre_hook(store) for block in model.blocks]
    hooks.append(
        model.blocks[-1].register_forward_hook(lambda _block, _given, out: last.append(out))
    )
    ids = torch.tensor([list(token_ids)], dtype=torch.long, device=model.device)
    try:
        model.hidden_states(ids, head_gates=gates)
    finally:
        for hook in hooks:
            hook.remove()
    return DecoderTrace(model, token_ids, inputs, last[0])


def _check(model: GPT, token_ids: Sequence[int]) -> None:
    config = model.config
    if model.head is None:
        raise InputError(
            f"This model has the head {config.head!r}, which gives no next token.",
            remedy="Look into a model that has a language-model head.",
            field="head",
            value=config.head,
        )
    if not 0 < len(token_ids) <= config.context_length:
        raise InputError(
            f"The text has {len(token_ids)} tokens; the model reads 1 to {config.context_length}.",
            remedy="Give a text of this length.",
            field="token_ids",
            value=len(token_ids),
        )
    for token_id in token_ids:
        if not 0 <= token_id < config.vocab_size:
            raise InputError(
                f"Token id {token_id} is outside the model's {config.vocab_size} ids.",
                remedy="Use the tokenizer in the model's directory.",
                field="token_ids",
                value=token_id,
            )


def _most_probable(logits: Tensor, k: int) -> list[TokenProbability]:
    probabilities = logits.double().softmax(dim=-1)
    best = probabilities.topk(min(k, len(probabilities)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [TokenProbability(*pair) for pair in pairs]


def _numpy(values: Tensor) -> Floats:
    array: Floats = values.detach().cpu().float().numpy()
    return array
