"""The engine: generate many replies together from one model. Token ids in, token ids out.

    submit(request) -> step() -> events -> step() -> ...

Each step runs at most two forward passes: one new token for every reply in progress, and a limited
part of the prompts of new replies. So a long prompt delays other replies only a little in each
step, and a new request joins at the next step. A request is either refused at once or served to its
end. The engine is synchronous and runs in the calling process. `scheduler.py` decides which replies
run.

The KV cache has n_slot slots and grows with the texts in them; `cache_plan` makes sure that all
slots can be filled. Several replies to one request share the work on their prompt: its keys and
values are computed once and copied. A later request of the same user begins with the keys and
values of the longest prefix that an earlier text shares with it (`prefix_cache.py`).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from chatwright.devices import available_memory
from chatwright.engine.batched_sampling import sample_tokens
from chatwright.engine.cache_plan import MemoryLimits, plan_cache
from chatwright.engine.formats import weight_format
from chatwright.engine.forward import Forward, token_memory
from chatwright.engine.invariance_cache import batch_dependence_reason
from chatwright.engine.messages import (
    Event,
    PromptScored,
    Request,
    RequestId,
    TokenSampled,
    new_request_id,
)
from chatwright.engine.open_request import OpenRequest
from chatwright.engine.prefix_cache import PrefixCache
from chatwright.engine.prompt_scores import score_tokens
from chatwright.engine.request_check import check_request
from chatwright.engine.scheduled_reply import State
from chatwright.engine.scheduler import Scheduler, SchedulerConfig
from chatwright.engine.sequence import Sequence
from chatwright.engine.speculation import Proposer
from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.head_gates import head_gates
from chatwright.model.loaded_adapters import AdapterFactors, LoadedAdapters
from chatwright.model.setting_checks import require_at_least

if TYPE_CHECKING:
    from chatwright.engine.grammar_state import GrammarCompiler, GrammarState

MOST_CHECKED = 16
"""Most proposed tokens that a step checks, over all replies; more would cost too much."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig(SchedulerConfig):
    """Limits of an engine."""

    context_length: int | None = None
    """Longest text in tokens. Default: the model's context, or what fits in memory."""
    short_blocks: bool = False
    """Shorten attention's blocks of keys to `context_length`, if that is less than a whole block.

    This is faster for short texts. The bits then depend on `context_length`.
    """
    prefix_cache_bytes: int = 0
    """Memory for keys and values of earlier texts, in bytes. 0: every prompt is read whole."""
    weights: str = "float32"
    """Format of the weights (`formats.py`): float32, int8, int4 or gguf."""
    speculative_tokens: int = 0
    """Most tokens of a reply that are proposed at once (`speculation.py`). 0: none.

    Replies do not change. They come faster where a text repeats parts of itself.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, 0, "prefix_cache_bytes", "speculative_tokens")


class Engine:
    """Generates replies with one model.

    While the engine is open, the model is packed (its weights are copied into the layout of the
    kernels for inference) and cannot be trained. To sample from a model in training, open
    `packed_model.shared_copy(model)`. Use the engine in a `with` statement, or call `close`.
    """

    def __init__(
        self, model: GPT, config: EngineConfig = EngineConfig(), keeps_weights: bool = True
    ) -> None:
        """Pack the model and plan the cache.

        Args:
            model: The model.
            config: Limits.
            keeps_weights: Whether the weights stay in memory beside their packed copies. If not,
                the model takes half the memory and cannot be used after `close`.

        Raises:
            InputError: The cache does not fit in memory, the model has no language-model head, or
                this machine cannot use the format of the weights.
        """
        self.config = config
        self.vocab_size = model.config.vocab_size
        longest = config.context_length if config.short_blocks else None
        self.forward = Forward(model, keeps_weights, longest, weight_format(config.weights))
        try:
            self.context_length = self._plan(config)
        except InputError:
            self.forward.close()
            raise
        self.cache = self.forward.make_cache(config.n_slot, self.context_length)
        self.adapters = LoadedAdapters(model)
        self.prefixes = PrefixCache(self.cache, config.prefix_cache_bytes)
        self.scheduler: Scheduler[Sequence] = Scheduler(config)
        self._requests: dict[RequestId, OpenRequest] = {}
        self._events: list[Event] = []
        self._grammar_compiler: GrammarCompiler | None = None

    def _plan(self, config: EngineConfig) -> int:
        """Return the longest text for which all slots fit in memory, in tokens."""
        model_context = self.forward.config.context_length
        if self.forward.device.type != "cpu":
            return config.context_length or model_context
        n_free = max(available_memory(), 1)
        limits = MemoryLimits(
            max_context=config.context_length, max_replies=config.n_slot, cache_memory=n_free
        )
        memory = token_memory(self.forward.model, config.prefill_tokens, self.forward.key_block)
        return plan_cache(limits, memory, model_context, config.n_slot, n_free).context_length

    @cached_property
    def batch_dependence_reason(self) -> str:
        """Why a reply's bits may depend on the other requests in the batch; "" if they do not.

        The first use checks this, which takes up to a second; later engines on this machine reuse
        the result (`invariance_cache`).
        """
        return batch_dependence_reason(self.forward)

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to do or to report."""
        return bool(self._requests or self._events)

    @property
    def n_slot(self) -> int:
        """Number of replies that are generated together."""
        return self.config.n_slot

    @property
    def n_free_slot(self) -> int:
        """Number of slots without a reply."""
        return self.scheduler.n_free_slot

    def refresh(self) -> None:
        """Use the weights as they are now. No reply may be in progress."""
        assert not self.has_work, "replies in progress hold keys and values of the old weights"
        self.forward.refresh()
        self.prefixes.clear()

    def close(self) -> None:
        """Drop the packed weights, so that the model can be trained again."""
        self.forward.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load_adapter(self, name: str, factors: Mapping[str, AdapterFactors]) -> None:
        """Let requests use an adapter by its name. Replies in progress do not change.

        Args:
            name: A name that no loaded adapter has.
            factors: The matrices, by the name of the layer.

        Raises:
            InputError: The name is taken, or the weights are not packed, as on a GPU.
        """
        if name in self.adapters:
            raise InputError(
                f"An adapter {name!r} is loaded already.",
                remedy="Choose another name, or unload it first.",
                field="adapter",
                value=name,
            )
        if not self.forward.has_packed_kernels:
            raise InputError(
                "Adapters of single requests need packed weights, which only CPUs have.",
                remedy="Merge the adapter and serve the result: chatwright merge.",
                field="adapter",
                value=name,
            )
        self.adapters.load(name, factors)

    def unload_adapter(self, name: str) -> None:
        """Remove an adapter from memory.

        Raises InputError if it is not loaded, or if replies in progress use it.
        """
        replies = [*self.scheduler.running, *self.scheduler.waiting]
        n_user = sum(sequence.adapter == name for sequence in replies)
        if name not in self.adapters or n_user:
            raise InputError(
                f"The adapter {name!r} is used by {n_user} replies."
                if n_user
                else f"No adapter {name!r} is loaded.",
                remedy="Wait until they have ended." if n_user else "List the loaded ones.",
                field="adapter",
                value=name,
            )
        self.adapters.unload(name)

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Give the bytes of the tokens, once, before the first request with a constraint."""
        # A part of the extra `serve`.
        from chatwright.engine.grammar_state import GrammarCompiler

        self._grammar_compiler = GrammarCompiler(vocabulary, self.vocab_size)

    def submit(self, request: Request) -> RequestId:
        """Put a request into the queue.

        Raises:
            InputError: The request can never be served.
            EngineFull: The queue, or this user's part of it, is full at the moment.
        """
        max_tokens = check_request(request, self.vocab_size, self.context_length)
        if request.adapter and request.adapter not in self.adapters:
            raise InputError(
                f"No adapter {request.adapter!r} is loaded.",
                remedy=f"Use one of: {', '.join(self.adapters.names) or 'none is loaded'}.",
                field="adapter",
                value=request.adapter,
            )
        config, heads_off = self.forward.config, request.sampling.heads_off
        gates = head_gates(config.n_layer, config.n_head, heads_off, self.forward.device)
        n_sequence = request.sampling.n_generated
        # Before anything is allocated for the replies.
        self.scheduler.require_room(request.user, n_sequence, len(request.token_ids))
        grammars = self._grammars_of(request)
        request_id = new_request_id()
        prompt = tuple(request.token_ids)
        seed = request.sampling.seed
        if seed is None:
            seed = secrets.randbits(64)
        stop_ids = frozenset(request.stop_ids)
        banned_ids = torch.tensor(sorted(request.banned_ids), dtype=torch.int64)
        if grammars[0] is not None:
            banned_ids = grammars[0].banned_ids  # at the beginning, equal for all replies
        n_proposed = self.config.speculative_tokens
        sequences = [
            Sequence(
                request_id,
                index,
                prompt,
                request.sampling,
                seed,
                stop_ids,
                max_tokens,
                banned_ids,
                request.scores_prompt,
                request.is_sampled,
                user=request.user,
                adapter=request.adapter,
                adapter_number=self.adapters.number(request.adapter),
                grammar=grammar,
                head_gates=gates,
                proposer=Proposer(n_proposed) if n_proposed else None,
            )
            for index, grammar in enumerate(grammars)
        ]
        self._requests[request_id] = OpenRequest(sequences)
        self.scheduler.enqueue(sequences)
        return request_id

    def _grammars_of(self, request: Request) -> list[GrammarState | None]:
        """Return the grammar of each reply; InputError if the constraint cannot be used."""
        n_sequence = request.sampling.n_generated
        if request.constraint is None:
            return [None] * n_sequence
        assert self._grammar_compiler is not None, "set_vocabulary comes before a constraint"
        start = self._grammar_compiler.start
        return [start(request.constraint, request.banned_ids) for _ in range(n_sequence)]

    def cancel(self, request_id: RequestId) -> None:
        """End a request now. An unknown or finished request is ignored."""
        request = self._requests.get(request_id)
        for sequence in request.sequences if request is not None else ():
            if not sequence.is_finished:
                sequence.end("canceled")
                self._release(sequence)

    def forget_user(self, user: str) -> None:
        """Cancel a user's replies, and erase the keys, values and tokens of the user's texts.

        All saved prefixes are dropped, those of other users, too: deletions are rare, and so no
        block of the user can be left behind. Replies of other users continue with the same bits.
        """
        for request in list(self._requests.values()):
            for sequence in request.sequences:
                if sequence.user == user and not sequence.is_finished:
                    sequence.end("canceled")
                    self._release(sequence)
        self.prefixes.clear()
        used = {sequence.slot for sequence in self.scheduler.running}
        if not used:
            self.cache.clear()
        for slot in set(range(self.config.n_slot)) - used:
            self.cache.clear_slot(slot)

    def step(self) -> list[Event]:
        """Run one step for all replies; return what happened, in order."""
        for sequence, slot in self.scheduler.admit()[0]:
            self._save_prefix(sequence, slot, sequence.n_text - 1)
        running = list(self.scheduler.running)
        decoding = [sequence for sequence in running if sequence.state is State.DECODE]
        ready = [
            sequence
            for sequence in running
            if sequence.state is State.PREFILL and self._prepare(sequence)
        ]
        prefilling, length = self.scheduler.next_chunk(ready)
        self._decode(decoding)
        self._run(prefilling, length)
        events = self._events
        self._events = []
        return events

    def _prepare(self, sequence: Sequence) -> bool:
        """Copy known keys and values to a reply; return whether the rest can be read now."""
        try:
            return self._has_prefix(sequence)
        except RuntimeError as error:
            self._fail_step([sequence], error)
            return False

    def _has_prefix(self, sequence: Sequence) -> bool:
        """Copy known keys and values to a reply; False: another reply is still reading them.

        They come from another reply to the same request, or from the prefix cache. The last token
        is not copied: it is read to get the logits after it.
        """
        needs_all = sequence.scores_prompt and not sequence.generated
        if sequence.n_read or needs_all:
            return True
        assert sequence.slot is not None, "a running reply has a slot"
        source = self._prompt_source(sequence)
        if source is None or source.slot is None:
            known = sequence.text_part(0, sequence.n_text - 1)
            self.prefixes.release(sequence.prefix)
            sequence.prefix, sequence.n_read = self.prefixes.load(
                sequence.prefix_owner, known, sequence.slot, self._n_used_slot
            )
            if not sequence.generated:
                sequence.n_cached = sequence.n_read
            return True
        n_shared = len(sequence.prompt) - 1
        if source.n_read < n_shared:
            return False
        self.cache.copy_slot(source.slot, sequence.slot, n_shared, self._n_used_slot)
        sequence.n_read, sequence.n_cached = n_shared, source.n_cached
        return True

    def _prompt_source(self, sequence: Sequence) -> Sequence | None:
        """Return the first running reply to the same request before this one, for its prompt."""
        if sequence.generated:
            return None
        others = self._requests[sequence.request_id].sequences[: sequence.index]
        return next((other for other in others if other.slot is not None), None)

    def _save_prefix(self, sequence: Sequence, slot: int, n_token: int) -> None:
        """Save the first tokens of a reply's text, which are in its slot."""
        path = self.prefixes.save(sequence.prefix_owner, sequence.text_part(0, n_token), slot)
        self.prefixes.release(sequence.prefix)
        sequence.prefix = path

    @property
    def _n_used_slot(self) -> int:
        """Number of the cache's slots that need memory."""
        return max(sequence.slot or 0 for sequence in self.scheduler.running) + 1

    def _run(self, sequences: list[Sequence], length: int) -> None:
        """Run the model on the next tokens of these replies; sample where the prompt is read."""
        if not sequences:
            return
        sequences = sorted(sequences, key=lambda sequence: sequence.slot or 0)
        chunks = [sequence.next_unread(length) for sequence in sequences]
        starts = [sequence.n_read for sequence in sequences]
        slots = [sequence.slot or 0 for sequence in sequences]
        try:
            with self.adapters.rows.used([sequence.adapter for sequence in sequences]):
                gates = self._gates(sequences)
                hidden = self.forward.hidden_states(chunks, starts, self.cache, slots, gates)
                logits = self.forward.last_logits(hidden, chunks)  # (B, V)
            finite = are_finite(logits)
            for row, sequence in enumerate(sequences):
                if targets := sequence.next_targets(len(chunks[row])):
                    self._score(sequence, hidden[row], targets)
        except RuntimeError as error:
            self._fail_step(sequences, error)
            return
        logits = logits.cpu()
        sampled: list[int] = []  # rows of the replies that get a token
        for row, (sequence, chunk) in enumerate(zip(sequences, chunks, strict=True)):
            sequence.n_read += len(chunk)
            if not finite[row]:
                self._fail(sequence, _not_finite(sequence))
            elif not sequence.n_unread:
                if not sequence.generated:  # requests beside this one may begin with its prompt
                    self._save_prefix(sequence, slots[row], len(sequence.prompt))
                self._report_scores(sequence)
                if sequence.is_sampled:
                    sampled.append(row)
                else:
                    sequence.end("length")
                    self._release(sequence)
        is_all = len(sampled) == len(sequences)
        self._sample([sequences[row] for row in sampled], logits if is_all else logits[sampled])

    def _gates(self, sequences: list[Sequence]) -> Tensor | None:
        """Return the factors of the heads' outputs, (n_layer, B, H); None if all heads are on."""
        if all(sequence.head_gates is None for sequence in sequences):
            return None
        config, device = self.forward.config, self.forward.device
        on = torch.ones(config.n_layer, config.n_head, device=device)
        rows = [on if row.head_gates is None else row.head_gates for row in sequences]
        return torch.stack(rows, dim=1)

    def _decode(self, sequences: list[Sequence]) -> None:
        """Sample the next token of each reply, and further ones where a proposal is right."""
        n_most = self.config.speculative_tokens
        if sequences and n_most:
            n_most = min(n_most, MOST_CHECKED // len(sequences) - 1)
        proposals = [sequence.propose(n_most) for sequence in sequences] if n_most > 0 else []
        if any(proposals):
            self._check_proposals(sequences, proposals)
        else:
            self._run(sequences, 1)

    def _check_proposals(self, sequences: list[Sequence], proposals: list[list[int]]) -> None:
        """Read each reply's last token and its proposal; sample while the proposal is right."""
        pairs = zip(sequences, proposals, strict=True)
        by_slot = sorted(pairs, key=lambda pair: pair[0].slot or 0)
        chunks = [[*sequence.next_unread(1), *proposal] for sequence, proposal in by_slot]
        sequences = [sequence for sequence, _ in by_slot]
        starts = [sequence.n_read for sequence in sequences]
        slots = [sequence.slot or 0 for sequence in sequences]
        try:
            with self.adapters.rows.used([sequence.adapter for sequence in sequences]):
                gates = self._gates(sequences)
                hidden = self.forward.hidden_states(chunks, starts, self.cache, slots, gates)
                logits = self.forward.head(hidden).cpu()  # (B, T, V)
        except RuntimeError as error:
            self._fail_step(sequences, error)
            return
        right = list(range(len(sequences)))  # replies that equal their proposal so far
        for index in range(logits.shape[1]):
            for row in right:
                sequences[row].n_read += 1
            self._sample_finite([sequences[row] for row in right], logits[right, index])
            following = [chunk[index + 1 : index + 2] for chunk in chunks]
            right = [row for row in right if _is_right(sequences[row], following[row])]
            if not right:
                break
        for sequence, chunk, start in zip(sequences, chunks, starts, strict=True):
            if sequence.proposer is not None and len(chunk) > 1:
                sequence.proposer.learn(len(chunk) - 1, sequence.n_read - start - 1)

    def _sample_finite(self, sequences: list[Sequence], logits: Tensor) -> None:
        """Draw the next token of each reply; a reply whose logits are not finite fails."""
        finite = are_finite(logits)
        for sequence, is_finite in zip(sequences, finite, strict=True):
            if not is_finite:
                self._fail(sequence, _not_finite(sequence))
        rows = [row for row, is_finite in enumerate(finite) if is_finite]
        self._sample([sequences[row] for row in rows], logits[rows])

    def _score(self, sequence: Sequence, hidden: Tensor, targets: SequenceOf[int]) -> None:
        """Score the prompt's tokens that the states `hidden` (T, D) predict."""
        n_alternative = sequence.sampling.top_log_probs
        with self.adapters.rows.used([sequence.adapter]):
            sequence.scores += score_tokens(self.forward, hidden, targets, n_alternative)

    def _report_scores(self, sequence: Sequence) -> None:
        """Report the scores of the prompt, once it is read."""
        if sequence.scores_prompt and not sequence.generated:
            scores = tuple(sequence.scores)
            self._events.append(PromptScored(sequence.request_id, sequence.index, scores))

    def _sample(self, sequences: list[Sequence], logits: Tensor) -> None:
        """Draw the next token of each reply. logits (N, V)."""
        if not sequences:
            return
        sampled = sample_tokens(logits, [sequence.draw() for sequence in sequences])
        for sequence, parts in zip(sequences, sampled, strict=True):
            self._add(sequence, sequence.take_token(*parts))

    def _add(self, sequence: Sequence, event: TokenSampled) -> None:
        self._events += self._requests[sequence.request_id].report_token(event)
        if sequence.is_finished:
            self._release(sequence)

    def _fail(self, sequence: Sequence, error: str) -> None:
        sequence.end("failed", error)
        self._release(sequence)

    def _fail_step(self, sequences: SequenceOf[Sequence], error: RuntimeError) -> None:
        """End these replies, because of too little memory for example; the engine continues."""
        cause = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        for sequence in sequences:
            self._fail(sequence, f"the step failed: {cause}")
        problems = self.scheduler.problems()
        assert not problems, f"the scheduler is damaged: {'; '.join(problems)}"
        if self._prefix_problems():
            self.prefixes.clear()

    def _release(self, sequence: Sequence) -> None:
        """Give back everything that an ended reply holds, and report its end."""
        slot = sequence.slot
        if slot is not None and sequence.state is not State.FAILED:
            self._save_prefix(sequence, slot, sequence.n_read)
        self.prefixes.release(sequence.prefix)
        sequence.prefix = []
        self.scheduler.release(sequence)
        if slot is not None:
            self._tidy(slot, sequence.state is State.FAILED)
        request = self._requests[sequence.request_id]
        self._events += request.report_end(sequence)
        if request.is_reported:
            del self._requests[sequence.request_id]

    def _tidy(self, slot: int, is_failed: bool) -> None:
        """Remove what must not stay in a slot, and give memory back if no reply is running."""
        is_idle = not self.scheduler.running
        if is_idle and (is_failed or not self.config.prefix_cache_bytes):
            self.cache.clear()
        elif is_idle:
            # The next turn of a conversation needs a slot as long as this one. Taking new memory
            # from the system costs a fifth of the time to its first token.
            self.cache.shrink(1)
        elif is_failed:
            self.cache.clear_slot(slot)  # it may hold a NaN; other numbers are never read

    def problems(self) -> list[str]:
        """Check the slots, the queue and the prefix cache; return what is wrong."""
        return [*self.scheduler.problems(), *self._prefix_problems()]

    def _prefix_problems(self) -> list[str]:
        replies = [*self.scheduler.running, *self.scheduler.waiting]
        return self.prefixes.index.problems([reply.prefix for reply in replies])


def are_finite(logits: Tensor) -> list[bool]:
    """Return which rows hold finite numbers only. (N, V) -> N."""
    # A sum is not finite if a number is not, and takes one pass over the logits instead of four.
    if all(map(math.isfinite, logits.sum(dim=1).tolist())):
        return [True] * len(logits)
    finite: list[bool] = logits.isfinite().all(dim=1).tolist()
    return finite


def _not_finite(sequence: Sequence) -> str:
    return (
        f"the model's output after token {sequence.n_read} is not finite: the weights are damaged "
        "or training diverged. Load an earlier checkpoint."
    )


def _is_right(sequence: Sequence, proposed: list[int]) -> bool:
    """Whether the reply continues with the proposed token; `proposed` is empty at its end."""
    return not sequence.is_finished and sequence.generated[-1:] == proposed
