"""A reply that is being generated, with all of its state.

A Request never changes. A Sequence is one reply to it; a request for n replies has n sequences. A
cache slot that is reused keeps no state of its previous reply. `scheduled_reply.py` has the states.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from chatwright.engine.messages import Reason, SamplingConfig, TokenSampled, TokenScore
from chatwright.engine.prefix_index import Block
from chatwright.engine.sampling import NO_TOKENS, Draw
from chatwright.engine.scheduled_reply import ScheduledReply, State
from chatwright.engine.speculation import Proposer

if TYPE_CHECKING:
    from chatwright.engine.grammar_state import GrammarState

_LAST_STATES: dict[Reason, State] = {"canceled": State.CANCELED, "failed": State.FAILED}


class PrefixOwner(NamedTuple):
    """What saved keys and values depend on beside the tokens; users share none."""

    user: str
    adapter_number: int
    heads_off: tuple[tuple[int, int], ...]


@dataclass(eq=False)
class Sequence(ScheduledReply):
    """One reply that is being generated."""

    sampling: SamplingConfig
    seed: int
    stop_ids: frozenset[int]
    max_tokens: int
    banned_ids: Tensor = NO_TOKENS
    """Tokens that cannot be the next one. Without a grammar they stay the same."""
    scores_prompt: bool = False
    is_sampled: bool = True
    scores: list[TokenScore] = field(default_factory=list)
    """Of the prompt's tokens that were read, if `scores_prompt`."""
    grammar: GrammarState | None = None
    """Which tokens may come next in a constrained reply; it changes with every token."""
    sum_log_prob: float = 0.0
    reason: Reason | None = None
    error: str = ""
    proposer: Proposer | None = None
    """Proposes tokens that are checked together, if the engine speculates."""
    n_cached: int = 0
    """Number of the prompt's tokens whose keys and values came from an earlier request."""
    adapter: str = ""
    """Name of the adapter; "" for none."""
    adapter_number: int = 0
    """Which load of this name it is (`LoadedAdapters.number`)."""
    head_gates: Tensor | None = None
    """(n_layer, H): 0 for a head that is switched off. None: all heads are on."""
    prefix: list[Block] = field(default_factory=list)
    """Blocks of the prefix cache that the reply uses."""

    @property
    def prefix_owner(self) -> PrefixOwner:
        """Whose saved prefixes the reply may use."""
        return PrefixOwner(self.user, self.adapter_number, self.sampling.heads_off)

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of the reply's tokens; -inf without tokens."""
        return self.sum_log_prob / len(self.generated) if self.generated else float("-inf")

    def next_unread(self, limit: int) -> list[int]:
        """Return the next tokens that the model has to read, at most `limit`."""
        return self.text_part(self.n_read, min(self.n_read + limit, self.n_text))

    def propose(self, n_most: int) -> list[int]:
        """Propose the tokens after the next one to be read, at most `n_most`."""
        n_most = min(n_most, self.max_tokens - len(self.generated) - 1)
        if self.proposer is None or n_most < 1:
            return []
        self.proposer.read(self.text_part(self.proposer.n_known, self.n_text))
        return self.proposer.propose(n_most)

    def next_targets(self, n_token: int) -> SequenceOf[int]:
        """Return the prompt's tokens that the next `n_token` tokens predict, if scored."""
        if not self.scores_prompt or self.generated:  # the scores were reported before
            return ()
        return self.prompt[self.n_read + 1 : self.n_read + 1 + n_token]

    def end(self, reason: Reason, error: str = "") -> None:
        """End the reply; the state follows from the reason."""
        self.reason = reason
        self.error = error
        self.set_state(_LAST_STATES.get(reason, State.DONE))

    @cached_property
    def _prompt_ids(self) -> Tensor:
        return torch.tensor(self.prompt, dtype=torch.int64)

    def draw(self) -> Draw:
        """Return what the choice of the next token depends on, beside the logits."""
        config = self.sampling
        # Prompts can be long, so tensors of token ids are made only for the penalties.
        prompt_ids = self._prompt_ids if config.has_repetition_penalty else NO_TOKENS
        generated_ids = NO_TOKENS
        if config.has_penalty:
            generated_ids = torch.tensor(self.generated, dtype=torch.int64)
        return Draw(config, prompt_ids, generated_ids, self.banned_ids, self.random_key)

    def take_token(
        self, token_id: int, log_prob: float, alternatives: tuple[tuple[int, float], ...] = ()
    ) -> TokenSampled:
        """Add a drawn token to the reply; update its state."""
        self.generated.append(token_id)
        self.sum_log_prob += log_prob
        self._end_or_continue(token_id)
        if self.grammar is not None and not self.is_finished:
            self._follow(self.grammar, token_id)
        return TokenSampled(self.request_id, self.index, token_id, log_prob, alternatives)

    @property
    def random_key(self) -> tuple[int, int, int]:
        """What the random number of the next token depends on: seed, position, index."""
        return self.seed, len(self.prompt) + len(self.generated), self.index

    def _end_or_continue(self, token_id: int) -> None:
        if token_id in self.stop_ids or len(self.generated) >= self.max_tokens:
            self.end("stop" if token_id in self.stop_ids else "length")
        elif self.state is State.PREFILL:
            self.set_state(State.DECODE)

    def _follow(self, grammar: GrammarState, token_id: int) -> None:
        """Ban the tokens that may not come next; end the reply if none may."""
        grammar.take(token_id)
        self.banned_ids = grammar.banned_ids
        if grammar.error:
            self.end("failed", grammar.error)
