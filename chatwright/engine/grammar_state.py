"""Follow the grammar of a constrained reply: which tokens may come next.

The tokens that may not come next are banned before sampling, so a constrained reply is drawn as any
other one: its bits do not depend on the other replies in the batch. `llguidance` follows the
grammar on the bytes of the tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from torch import Tensor

from chatwright.engine.grammar import LIMITS, check_constraint, grammar_of
from chatwright.engine.messages import Constraint
from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError

MAX_GRAMMARS = 32
"""Compiled grammars that are kept for later requests."""


class GrammarState:
    """The grammar of one reply, after the tokens that were sampled so far."""

    def __init__(self, matcher: LLMatcher, n_ids: int, banned_ids: Collection[int]) -> None:
        """Start at the beginning of the reply.

        Args:
            matcher: The compiled grammar, which this object uses alone.
            n_ids: Number of ids of the model.
            banned_ids: Ids that are never sampled.
        """
        self._matcher = matcher
        self._is_never_sampled = np.zeros(n_ids, dtype=bool)
        self._is_never_sampled[list(banned_ids)] = True
        self.error = ""
        """Why no token can follow; "" if one can."""
        self.banned_ids = self._banned_ids()
        """Ids that may not come next."""

    def take(self, token_id: int) -> None:
        """Add a sampled token to the reply."""
        self._matcher.consume_token(token_id)
        self.banned_ids = self._banned_ids()

    def _banned_ids(self) -> Tensor:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        is_allowed = np.unpackbits(bits, bitorder="little").astype(bool)
        is_banned = self._is_never_sampled.copy()
        n_both = min(len(is_banned), len(is_allowed))
        is_banned[:n_both] |= ~is_allowed[:n_both]
        is_banned[n_both:] = True  # ids of the model that the tokenizer does not have
        if self._matcher.is_error():
            self.error = "the grammar is too complex"
        elif is_banned.all():
            self.error = "no token of this model can continue the reply as its grammar asks"
        return torch.from_numpy(np.flatnonzero(is_banned))


class GrammarCompiler:
    """Compiles the constraints of requests for one tokenizer, and keeps the latest grammars."""

    def __init__(self, vocabulary: Vocabulary, n_ids: int) -> None:
        """Index the bytes of the tokens. `n_ids` is the number of ids of the model."""
        self._n_ids = n_ids
        end_ids = sorted(vocabulary.end_ids)
        wrapper = TokenizerWrapper(_LongestTokens(vocabulary, end_ids[0]))
        self._tokenizer = LLTokenizer(wrapper, eos_token=end_ids)
        self._compiled: OrderedDict[Constraint, LLMatcher] = OrderedDict()

    def start(self, constraint: Constraint, banned_ids: Collection[int]) -> GrammarState:
        """Return the state at the beginning of a reply; InputError for a malformed constraint."""
        matcher = self._compiled.pop(constraint, None) or self._compile(constraint)
        self._compiled[constraint] = matcher
        while len(self._compiled) > MAX_GRAMMARS:
            self._compiled.popitem(last=False)
        state = GrammarState(matcher.deep_copy(), self._n_ids, banned_ids)
        if state.error:
            raise _unusable(constraint, state.error)
        return state

    def _compile(self, constraint: Constraint) -> LLMatcher:
        check_constraint(constraint)
        matcher = LLMatcher(self._tokenizer, grammar_of(constraint), log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise _unusable(constraint, "it is too large")
        return matcher


def _unusable(constraint: Constraint, cause: str) -> InputError:
    return InputError(
        f"The grammar of the reply cannot be used: {cause}.",
        remedy="Simplify it, or leave it out.",
        field=constraint.kind,
    )


class _LongestTokens:
    """A greedy longest-match tokenizer for the text that a grammar forces, for `llguidance`."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary, eos_token_id: int) -> None:
        self.tokens = list(vocabulary.tokens)
        self.special_token_ids: list[int] = []
        self.eos_token_id = eos_token_id
        self._ids: dict[bytes, int] = {}
        for token_id, token in enumerate(vocabulary.tokens):
            if token and token_id not in vocabulary.control_ids:
                self._ids.setdefault(token, token_id)
            else:
                # Control tokens of equal spelling would be one token for llguidance.
                self.tokens[token_id] = b"<|%d|>" % token_id
                self.special_token_ids.append(token_id)
        self._longest = max(map(len, self._ids), default=0)

    def __call__(self, content: bytes | str) -> list[int]:
        """Return the ids of the longest tokens, from the left; skip bytes that have no token."""
        content = content.encode() if isinstance(content, str) else content
        ids: list[int] = []
        start = 0
        while start < len(content):
            for end in range(min(start + self._longest, len(content)), start, -1):
                if (token_id := self._ids.get(content[start:end])) is not None:
                    ids.append(token_id)
                    break
            else:
                end = start + 1
            start = end
        return ids
