"""Many replies at once from one model: submit, step, events. Synchronous and in-process; token ids in, token ids out.

Each step reads one more token for every reply under way (one forward pass) and a bounded piece of the prompts of new ones
(another), so a long prompt delays the others by one piece and a new request joins at the next step. A request is refused before
anything is allocated for it, or served to its end.

The cache is allocated once: n_slot slots for a whole context each. Prompts are read once per reply; nothing is shared yet.
"""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from chatwright.devices import available_memory
from chatwright.engine.batch_invariance import find_difference
from chatwright.engine.forward import Forward
from chatwright.engine.request import (
    Event,
    Request,
    RequestFinished,
    RequestId,
    Sequence,
    State,
    TokenSampled,
    new_request_id,
)
from chatwright.model.gpt import GPT

LogitsObserver = Callable[[Sequence, Tensor], None]


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    n_slot: int = 8  # replies under way together
    prefill_tokens: int = 256  # prompt tokens read per step, over all new replies
    max_waiting: int = 256  # replies that may wait for a place
    max_waiting_tokens: int = 262_144  # and the prompt tokens they may hold

    def __post_init__(self) -> None:
        for name in ("n_slot", "prefill_tokens", "max_waiting", "max_waiting_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} ({getattr(self, name)}) must be at least 1")


class EngineFull(Exception):
    """The queue is full. Nothing was kept of the request; ask again later."""


class Engine:
    """While it is open the model is packed and cannot be trained: `with Engine(model) as engine`, or call `close`."""

    def __init__(self, model: GPT, config: EngineConfig = EngineConfig()) -> None:
        self.config, self.context_length, self.vocab_size = (
            config,
            model.config.context_length,
            model.config.vocab_size,
        )
        self.forward = Forward(model)
        needed = self.forward.cache_bytes(config.n_slot)
        if self.forward.device.type == "cpu" and needed > available_memory():
            self.forward.close()
            raise ValueError(
                f"n_slot = {config.n_slot}: the cache needs {needed / 1e6:,.0f} MB and "
                f"{available_memory() / 1e6:,.0f} are free. A row costs {needed / config.n_slot / 1e6:,.1f} MB: take fewer."
            )
        self.cache = self.forward.make_cache(config.n_slot)
        self.batch_variance = find_difference(
            self.forward
        )  # why bits depend on company; "" if they do not
        self._free_rows = list(range(config.n_slot))
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._requests: dict[RequestId, list[Sequence]] = {}
        self._events: list[Event] = []
        self._observers: list[LogitsObserver] = []

    @property
    def is_batch_invariant(self) -> bool:
        """Whether a reply is the same, to the last bit, alone and in any company. `batch_variance` says why not."""
        return not self.batch_variance

    @property
    def has_work(self) -> bool:
        return bool(self._requests or self._events)

    @property
    def n_free_rows(self) -> int:
        return len(self._free_rows)

    def close(self) -> None:
        self.forward.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def observe_logits(self, callback: LogitsObserver) -> Callable[[], None]:
        """Call `callback` with each sequence and its logits (V,) before it draws, until the returned function is called."""
        self._observers.append(callback)
        return lambda: self._observers.remove(callback)

    def submit(self, request: Request) -> RequestId:
        """Queue a request. ValueError if it could never be served, EngineFull if it cannot be taken now; then nothing was kept."""
        max_tokens = self._check(request)
        n_made = request.sampling.n_made
        n_tokens = sum(len(sequence.prompt) for sequence in self._waiting) + n_made * len(
            request.token_ids
        )
        if (
            len(self._waiting) + n_made > self.config.max_waiting
            or n_tokens > self.config.max_waiting_tokens
        ):
            raise EngineFull(
                f"{len(self._waiting)} replies are waiting; the queue holds {self.config.max_waiting} "
                f"and {self.config.max_waiting_tokens} prompt tokens. Ask again later."
            )
        request_id, prompt = new_request_id(), tuple(request.token_ids)
        banned_ids = torch.tensor(sorted(request.banned_ids), dtype=torch.int64)
        seed = secrets.randbits(64) if request.sampling.seed is None else request.sampling.seed
        self._requests[request_id] = [
            Sequence(
                request_id,
                index,
                prompt,
                request.sampling,
                seed,
                frozenset(request.stop_ids),
                max_tokens,
                banned_ids,
            )
            for index in range(n_made)
        ]
        self._waiting.extend(self._requests[request_id])
        return request_id

    def cancel(self, request_id: RequestId) -> None:
        """End a request now. One that has ended already, or never was, is left in peace."""
        for sequence in self._requests.get(request_id, []):
            if not sequence.is_finished:
                self._end(sequence, State.CANCELLED)
        self._report(request_id)

    def step(self) -> list[Event]:
        """Read and sample once for everyone; what happened, in order."""
        while self._waiting and self._free_rows:
            sequence = self._waiting.popleft()
            sequence.row = self._free_rows.pop(0)
            sequence.become(State.PREFILL)
            self._running.append(sequence)
        decoding = [sequence for sequence in self._running if sequence.state is State.DECODE]
        reading, length = self._next_prefill()
        self._run(decoding, 1)
        self._run(reading, length)
        events, self._events = self._events, []
        return events

    def _check(self, request: Request) -> int:
        """The tokens the reply may have, or ValueError."""
        n_prompt, sampling = len(request.token_ids), request.sampling
        if not n_prompt:
            raise ValueError(
                "token_ids is empty: a prompt needs at least one token, for example the one that begins a text"
            )
        for token_id in (*request.token_ids, *sampling.logit_bias, *request.banned_ids):
            if not 0 <= token_id < self.vocab_size:
                raise ValueError(
                    f"token id {token_id} is outside the model's {self.vocab_size} ids: it comes from another tokenizer"
                )
        room = self.context_length - n_prompt
        if room < (sampling.max_tokens or 1):
            raise ValueError(
                f"the prompt's {n_prompt} tokens and max_tokens = {sampling.max_tokens or 1} do not fit the model's "
                f"context of {self.context_length} tokens. Shorten the prompt or ask for at most {max(room, 0)} tokens."
            )
        if (
            n_prompt * sampling.n_made > self.config.max_waiting_tokens
            or sampling.n_made > self.config.max_waiting
        ):
            raise ValueError(
                f"{sampling.n_made} replies to {n_prompt} tokens are more than this engine ever takes "
                f"({self.config.max_waiting} replies, {self.config.max_waiting_tokens} prompt tokens). Ask for fewer."
            )
        return sampling.max_tokens or room

    def _next_prefill(self) -> tuple[list[Sequence], int]:
        """Who reads how much of their prompt in this step: the earliest first, within the step's allowance."""
        chosen: list[Sequence] = []
        longest, allowance = 0, self.config.prefill_tokens
        for sequence in self._running:
            if sequence.state is not State.PREFILL:
                continue
            length = max(longest, min(len(sequence.prompt) - sequence.n_read, allowance))
            if chosen and length * (len(chosen) + 1) > allowance:
                break
            chosen.append(sequence)
            longest = length
        return chosen, longest

    def _run(self, sequences: list[Sequence], length: int) -> None:
        """One forward pass over the next tokens of these sequences; those that have read everything draw a token."""
        if not sequences:
            return
        sequences = sorted(sequences, key=lambda sequence: sequence.row or 0)
        chunks = [sequence.unread(length) for sequence in sequences]
        try:
            logits = self.forward.logits(
                chunks, [s.n_read for s in sequences], self.cache, [s.row or 0 for s in sequences]
            )
            finite = logits.isfinite().all(dim=1).tolist()
        except (
            RuntimeError
        ) as error:  # torch's own, out of memory among them: this batch is lost, the engine is not
            for sequence in sequences:
                self._fail(
                    sequence,
                    f"the step failed: {type(error).__name__}: {str(error).splitlines()[0]}",
                )
            return
        logits = logits.cpu()
        for sequence, chunk, row_logits, is_finite in zip(
            sequences, chunks, logits, finite, strict=True
        ):
            sequence.n_read += len(chunk)
            if not is_finite:
                self._fail(
                    sequence,
                    f"the model's output after token {sequence.n_read} is not finite: the weights are damaged or "
                    "training diverged. Load an earlier checkpoint.",
                )
            elif sequence.n_read == len(sequence.prompt) + len(sequence.generated):
                self._sample(sequence, row_logits)

    def _sample(self, sequence: Sequence, logits: Tensor) -> None:
        for observer in self._observers:
            observer(sequence, logits)
        event = sequence.take(logits)
        if self._chooses_best(sequence):
            sequence.held.append(event)
        else:
            self._events.append(event)
        if sequence.is_finished:
            self._release(sequence)
            self._report(sequence.request_id)

    @staticmethod
    def _chooses_best(sequence: Sequence) -> bool:
        return sequence.sampling.n_made > sequence.sampling.n

    def _fail(self, sequence: Sequence, error: str) -> None:
        sequence.error = error
        self._end(sequence, State.FAILED)
        self._report(sequence.request_id)

    def _end(self, sequence: Sequence, state: State) -> None:
        sequence.become(state)
        sequence.reason = "cancelled" if state is State.CANCELLED else "failed"
        self._release(sequence)

    def _release(self, sequence: Sequence) -> None:
        """The same for every way to end: the place is wiped and free again."""
        if sequence.row is None:
            self._waiting.remove(sequence)
            return
        self.cache.clear_slot(sequence.row)
        self._running.remove(sequence)
        self._free_rows.append(sequence.row)
        self._free_rows.sort()
        sequence.row = None

    def _report(self, request_id: RequestId) -> None:
        """Tell of what has ended. With best_of nothing is told until all replies have, and then only of the best n."""
        sequences = self._requests.get(request_id)
        if sequences is None:
            return
        open_ones = [sequence for sequence in sequences if not sequence.is_finished]
        if not self._chooses_best(sequences[0]):
            for sequence in [sequence for sequence in sequences if sequence.is_finished]:
                sequences.remove(sequence)
                self._events.append(_finished(sequence, sequence.index, not sequences))
        elif not open_ones:
            # Failed and cancelled ones last, then by mean log-probability; sorting keeps the order of equals.
            n, ranked = (
                sequences[0].sampling.n,
                sorted(sequences, key=lambda s: (s.state is not State.DONE, -s.mean_log_prob)),
            )
            for index, sequence in enumerate(ranked[:n]):
                self._events.extend(
                    TokenSampled(e.request_id, index, e.token_id, e.log_prob, e.alternatives)
                    for e in sequence.held
                )
                self._events.append(_finished(sequence, index, index == n - 1))
            sequences.clear()
        if not sequences:
            del self._requests[request_id]


def _finished(sequence: Sequence, index: int, is_last: bool) -> RequestFinished:
    assert sequence.reason is not None, "only an ended sequence is reported"
    return RequestFinished(sequence.request_id, index, sequence.reason, is_last, sequence.error)
