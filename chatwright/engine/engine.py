"""The engine: generate many replies together from one model. Token ids in, token ids out.

    submit(request) -> step() -> events -> step() -> ...

Each step runs two forward passes: one new token for every reply in progress, and a limited part of
the prompts of new replies. So a long prompt delays other replies only a little in each step, and a
new request joins at the next step. A request is either refused at once or served to its end. The
engine is synchronous and runs in the calling process.

The KV cache has n_slot slots and grows with the texts in them; `cache_plan` makes sure that all
slots can be filled. Several replies to one request share the work on their prompt: its keys and
values are computed once and copied. Different requests share nothing.
"""

import secrets
from collections import deque
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from chatwright.devices import available_memory
from chatwright.engine.batched_sampling import draw_tokens, is_plain
from chatwright.engine.cache_plan import MemoryLimits, plan_cache
from chatwright.engine.forward import Forward, token_memory
from chatwright.engine.invariance_cache import batch_variance
from chatwright.engine.messages import (
    EngineFull,
    Event,
    PromptScored,
    Request,
    RequestFinished,
    RequestId,
    TokenSampled,
    new_request_id,
)
from chatwright.engine.prompt_scores import score_tokens
from chatwright.engine.request_check import check_request
from chatwright.engine.sequence import Sequence, State
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.model.setting_checks import require_at_least


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Limits of an engine."""

    n_slot: int = 8
    """Number of replies that are generated together."""
    context_length: int | None = None
    """Longest text in tokens. Default: the model's context, or what fits in memory."""
    prefill_tokens: int = 256
    """Largest number of prompt tokens read per step, over all new replies."""
    short_blocks: bool = False
    """Read keys in blocks as long as `context_length`, if that is less than a whole block.

    This is faster for short texts. The bits then depend on `context_length`.
    """
    max_waiting: int = 256
    """Largest number of replies that wait for a slot."""
    max_waiting_tokens: int = 262_144
    """Largest number of prompt tokens of all waiting replies."""

    def __post_init__(self) -> None:
        require_at_least(self, 1, "n_slot", "prefill_tokens", "max_waiting", "max_waiting_tokens")


class Engine:
    """Generates replies with one model.

    While the engine is open, the model is packed and cannot be trained; to sample from a model in
    training, open `packed_model.shared_copy(model)`. Use the engine in a `with` statement, or call
    `close`.
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
            InputError: The cache does not fit in memory, or the model has no language-model head.
        """
        self.config = config
        self.vocab_size = model.config.vocab_size
        longest = config.context_length if config.short_blocks else None
        self.forward = Forward(model, keeps_weights, longest)
        try:
            self.context_length = self._plan(config)
        except InputError:
            self.forward.close()
            raise
        self.cache = self.forward.make_cache(config.n_slot, self.context_length)
        self._free_slots = list(range(config.n_slot))
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._requests: dict[RequestId, list[Sequence]] = {}
        self._events: list[Event] = []

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
    def batch_variance(self) -> str:
        """Why a reply's bits may depend on the other requests in the batch; "" if they do not.

        The first use checks this, which takes up to a second; later engines on this machine reuse
        the result (`invariance_cache`).
        """
        return batch_variance(self.forward)

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
        return len(self._free_slots)

    def refresh(self) -> None:
        """Use the weights as they are now. No reply may be in progress."""
        assert not self.has_work, "replies in progress hold keys and values of the old weights"
        self.forward.refresh()

    def close(self) -> None:
        """Unpack the model; it can be trained again."""
        self.forward.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, request: Request) -> RequestId:
        """Put a request into the queue.

        Raises:
            InputError: The request can never be served.
            EngineFull: The queue is full at the moment.
        """
        max_tokens = check_request(request, self.vocab_size, self.context_length)
        n_sequence = request.sampling.n_generated
        self._require_room(n_sequence, len(request.token_ids))
        request_id = new_request_id()
        prompt = tuple(request.token_ids)
        seed = request.sampling.seed
        if seed is None:
            seed = secrets.randbits(64)
        stop_ids = frozenset(request.stop_ids)
        banned_ids = torch.tensor(sorted(request.banned_ids), dtype=torch.int64)
        self._requests[request_id] = [
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
            )
            for index in range(n_sequence)
        ]
        self._waiting.extend(self._requests[request_id])
        return request_id

    def cancel(self, request_id: RequestId) -> None:
        """End a request now. An unknown or finished request is ignored."""
        for sequence in self._requests.get(request_id, []):
            if not sequence.is_finished:
                self._end(sequence, State.CANCELLED)
        self._report(request_id)

    def step(self) -> list[Event]:
        """Run one step for all replies; return what happened, in order."""
        while self._waiting and self.n_free_slot:
            sequence = self._waiting.popleft()
            sequence.slot = self._free_slots.pop(0)
            sequence.set_state(State.PREFILL)
            self._running.append(sequence)
        decoding = [sequence for sequence in self._running if sequence.state is State.DECODE]
        prefilling, length = self._next_prefill()
        self._run(decoding, 1)
        self._run(prefilling, length)
        events = self._events
        self._events = []
        return events

    def _require_room(self, n_sequence: int, n_prompt: int) -> None:
        """Check that the queue has room for so many replies to such a prompt.

        Raises InputError if it never has, and EngineFull if it is full at the moment.
        """
        n_waiting, config = len(self._waiting), self.config
        if n_sequence > config.max_waiting or n_prompt * n_sequence > config.max_waiting_tokens:
            raise InputError(
                f"{n_sequence} replies to {n_prompt} tokens are more than this engine accepts "
                f"({config.max_waiting} replies, {config.max_waiting_tokens} prompt tokens).",
                remedy="Ask for fewer replies.",
                field="n",
                value=n_sequence,
            )
        n_token = sum(len(sequence.prompt) for sequence in self._waiting) + n_sequence * n_prompt
        if n_waiting + n_sequence > config.max_waiting or n_token > config.max_waiting_tokens:
            raise EngineFull(
                f"{n_waiting} replies are waiting; the queue holds {config.max_waiting} "
                f"and {config.max_waiting_tokens} prompt tokens. Ask again later."
            )

    def _next_prefill(self) -> tuple[list[Sequence], int]:
        """Choose the replies whose prompts are read in this step, and the most tokens of each."""
        chosen: list[Sequence] = []
        longest, limit = 0, self.config.prefill_tokens
        for sequence in self._running:
            if sequence.state is not State.PREFILL or self._awaits_prompt(sequence):
                continue
            length = max(longest, min(len(sequence.prompt) - sequence.n_read, limit))
            if chosen and length * (len(chosen) + 1) > limit:
                break
            chosen.append(sequence)
            longest = length
        return chosen, longest

    def _awaits_prompt(self, sequence: Sequence) -> bool:
        """Copy the prompt's keys and values from another reply to it; whether to wait for them.

        The last token of the prompt is not copied: it is read to get the logits after it.
        """
        if sequence.n_read or sequence.scores_prompt:  # scoring needs the whole prompt
            return False
        n_shared = len(sequence.prompt) - 1
        others = self._requests[sequence.request_id]
        others = others[: others.index(sequence)] if len(others) > 1 else []
        for other in others:
            if other.slot is None or other.is_finished:
                continue
            if other.n_read < n_shared:
                return True
            assert sequence.slot is not None, "a running reply has a slot"
            n_slot = max(running.slot or 0 for running in self._running) + 1
            self.cache.copy_slot(other.slot, sequence.slot, n_shared, n_slot)
            sequence.n_read = n_shared
            return False
        return False

    def _run(self, sequences: list[Sequence], length: int) -> None:
        """Run the model on the next tokens of these replies; sample where the prompt is read."""
        if not sequences:
            return
        sequences = sorted(sequences, key=lambda sequence: sequence.slot or 0)
        chunks = [sequence.next_unread(length) for sequence in sequences]
        starts = [sequence.n_read for sequence in sequences]
        slots = [sequence.slot or 0 for sequence in sequences]
        try:
            hidden = self.forward.hidden_states(chunks, starts, self.cache, slots)  # (B, T, D)
            logits = self.forward.last_logits(hidden, chunks)  # (B, V)
            finite = logits.isfinite().all(dim=1).tolist()
            for sequence, chunk, states in zip(sequences, chunks, hidden, strict=True):
                self._score(sequence, states, len(chunk))
        except RuntimeError as error:
            # Out of memory, for example: these replies fail, the engine continues.
            cause = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            for sequence in sequences:
                self._fail(sequence, f"the step failed: {cause}")
            return
        logits = logits.cpu()
        sampled: list[int] = []  # rows of the replies that get a token
        for row, (sequence, chunk) in enumerate(zip(sequences, chunks, strict=True)):
            sequence.n_read += len(chunk)
            if not finite[row]:
                self._fail(
                    sequence,
                    f"the model's output after token {sequence.n_read} is not finite: the weights "
                    "are damaged or training diverged. Load an earlier checkpoint.",
                )
            elif sequence.n_read == len(sequence.prompt) + len(sequence.generated):
                self._report_scores(sequence)
                if sequence.is_sampled:
                    sampled.append(row)
                else:
                    sequence.finish_unsampled()
                    self._release(sequence)
                    self._report(sequence.request_id)
        self._sample([sequences[row] for row in sampled], logits[sampled])

    def _score(self, sequence: Sequence, hidden: Tensor, n_token: int) -> None:
        """Score the prompt's tokens that the next `n_token` tokens predict. `hidden` is (T, D)."""
        targets = sequence.next_targets(n_token)
        n_alternative = sequence.sampling.top_log_probs
        sequence.scores += score_tokens(self.forward, hidden, targets, n_alternative)

    def _report_scores(self, sequence: Sequence) -> None:
        """Report the scores of the prompt, once it is read."""
        if sequence.scores_prompt and not sequence.generated:
            scores = tuple(sequence.scores)
            self._events.append(PromptScored(sequence.request_id, sequence.index, scores))

    def _sample(self, sequences: list[Sequence], logits: Tensor) -> None:
        """Draw the next token of each reply. logits (N, V)."""
        plain = [row for row, sequence in enumerate(sequences) if is_plain(sequence.sampling)]
        drawn: dict[int, tuple[int, float]] = {}
        if len(plain) > 1:
            chosen = [sequences[row] for row in plain]
            tokens, log_probs = draw_tokens(
                logits[plain],
                [sequence.sampling.temperature for sequence in chosen],
                [sequence.banned_ids for sequence in chosen],
                [sequence.random_key for sequence in chosen],
            )
            drawn = dict(zip(plain, zip(tokens, log_probs, strict=True), strict=True))
        for row, sequence in enumerate(sequences):
            if row in drawn:
                self._add(sequence, sequence.take_token(*drawn[row]))
            else:
                self._add(sequence, sequence.sample_token(logits[row]))

    def _add(self, sequence: Sequence, event: TokenSampled) -> None:
        if self._chooses_best(sequence):
            sequence.held_events.append(event)
        else:
            self._events.append(event)
        if sequence.is_finished:
            self._release(sequence)
            self._report(sequence.request_id)

    @staticmethod
    def _chooses_best(sequence: Sequence) -> bool:
        return sequence.sampling.n_generated > sequence.sampling.n

    def _fail(self, sequence: Sequence, error: str) -> None:
        sequence.error = error
        self._end(sequence, State.FAILED)
        self._report(sequence.request_id)

    def _end(self, sequence: Sequence, state: State) -> None:
        sequence.set_state(state)
        sequence.reason = "cancelled" if state is State.CANCELLED else "failed"
        self._release(sequence)

    def _release(self, sequence: Sequence) -> None:
        """Clear and free the slot of an ended reply, or remove it from the queue."""
        if sequence.slot is None:
            self._waiting.remove(sequence)
            return
        self._running.remove(sequence)
        if self._running:
            self.cache.clear_slot(sequence.slot)
        else:
            self.cache.clear()
        self._free_slots.append(sequence.slot)
        self._free_slots.sort()
        sequence.slot = None

    def _report(self, request_id: RequestId) -> None:
        """Add the events of ended replies; with best_of, only after all replies have ended."""
        sequences = self._requests.get(request_id)
        if sequences is None:
            return
        if not self._chooses_best(sequences[0]):
            for sequence in [sequence for sequence in sequences if sequence.is_finished]:
                sequences.remove(sequence)
                self._events.append(_finished(sequence, sequence.index, not sequences))
        elif all(sequence.is_finished for sequence in sequences):
            self._report_best(sequences)
            sequences.clear()
        if not sequences:
            del self._requests[request_id]

    def _report_best(self, sequences: list[Sequence]) -> None:
        """Add the held events of the n best replies: complete ones first, then by probability."""
        n = sequences[0].sampling.n
        # Sorting is stable: equally probable replies keep their order.
        ranked = sorted(sequences, key=lambda s: (s.state is not State.DONE, -s.mean_log_prob))
        for index, sequence in enumerate(ranked[:n]):
            self._events.extend(
                TokenSampled(e.request_id, index, e.token_id, e.log_prob, e.alternatives)
                for e in sequence.held_events
            )
            self._events.append(_finished(sequence, index, index == n - 1))


def _finished(sequence: Sequence, index: int, is_last: bool) -> RequestFinished:
    assert sequence.reason is not None, "only an ended sequence is reported"
    return RequestFinished(sequence.request_id, index, sequence.reason, is_last, sequence.error)
