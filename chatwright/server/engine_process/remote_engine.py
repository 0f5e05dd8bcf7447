"""Models in the engine's process, with the interfaces of those in this process."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.messages import (
    EngineFull,
    EngineUnavailable,
    Event,
    Request,
    RequestId,
)
from chatwright.engine.request_check import check_heads, check_request
from chatwright.engine.vocabulary import Vocabulary
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.opened_model import OpenedModel

MAX_REPLIES_PER_SLOT = 32
"""Requests that a remote engine holds for each of its slots; more are refused."""


class RemoteEngine:
    """An engine in the engine's process. It is closed when nothing refers to it any more."""

    def __init__(
        self,
        process: EngineProcess,
        path: Path,
        limits: MemoryLimits,
        n_reply: int,
        show: Callable[[str, bool], None] = lambda text, is_note: None,
    ) -> None:
        """Open the decoder at `path`; the arguments are those of `EngineProcess.open_decoder`."""
        self._process = process
        self._model = process.open_decoder(path, limits, n_reply, show)
        # Live replies keep their engine, so an old version is released after its last reply.
        self._release = weakref.finalize(self, process.close_model, self._model)

    @property
    def facts(self) -> OpenedModel:
        """What the process reported about the model when it opened it."""
        return self._process.facts(self._model)

    @property
    def vocab_size(self) -> int:
        """Number of token ids that the model knows."""
        return self.facts.vocab_size

    @property
    def context_length(self) -> int:
        """Longest text in tokens, prompt and reply together."""
        return self.facts.context_length

    @property
    def n_slot(self) -> int:
        """Number of replies that are generated together."""
        return self.facts.n_slot

    @property
    def batch_dependence_reason(self) -> str:
        """Why a reply's bits may depend on the other requests in the batch; "" if they do not."""
        return self.facts.identity.batch_dependence_reason or ""

    def wait_until_open(self, seconds: float) -> bool:
        """Wait until requests are taken, also after a restart; return False after `seconds`."""
        return self._process.wait_until_open(self._model, seconds)

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to report now or later."""
        return bool(self._process.n_live(self._model)) or self._process.has_events(self._model)

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Give the bytes of the tokens, once, before the first request with a constraint."""
        self._process.set_vocabulary(self._model, vocabulary)

    def submit(self, request: Request) -> RequestId:
        """Send a request to the process.

        Raises:
            InputError: The request can never be served.
            EngineFull: Too many requests wait.
            EngineUnavailable: The process is being restarted.
        """
        check_request(request, self.vocab_size, self.context_length)
        check_heads(request, self.facts.n_layer, self.facts.n_head)
        if self._process.n_live(self._model) >= MAX_REPLIES_PER_SLOT * self.n_slot:
            raise EngineFull("too many requests are waiting. Ask again later.")
        return self._process.submit(self._model, request)

    def cancel(self, request_id: RequestId) -> None:
        """End a request; an unknown or finished one is ignored."""
        self._process.cancel(self._model, request_id)

    def load_adapter(self, name: str, path: Path) -> str:
        """Let requests use the adapter at `path` by a name; return the hash of its weights."""
        return self._process.load_adapter(self._model, name, path)

    @property
    def failed_adapters(self) -> dict[str, str]:
        """Why adapters could not be loaded again after a restart, by their names."""
        return self._process.failed_adapters(self._model)

    def unload_adapter(self, name: str) -> None:
        """Remove an adapter from memory; InputError if replies in progress use it."""
        self._process.unload_adapter(self._model, name)

    def inspect(self, query: dict[str, Any]) -> dict[str, Any]:
        """Answer a question about what the model computes (`inspection/queries.py`); wait for it.

        Raises:
            InputError: The question cannot be answered.
            EngineUnavailable: The process ended.
        """
        answer: dict[str, Any] = self._process.call("inspect", self._model, query=query)
        return answer

    def forget_user(self, user: str) -> None:
        """Cancel a user's replies and erase what the process keeps of the user's texts.

        If the process has just ended, nothing is kept.
        """
        with suppress(EngineUnavailable):
            self._process.call("forget", self._model, user=user)

    def step(self) -> list[Event]:
        """Return what happened since the last call; wait for a moment if nothing did."""
        return self._process.take_events(self._model)


@dataclass(frozen=True)
class RemoteVector:
    """The vector of one text."""

    vector: list[float]
    """D float32 numbers."""
    n_token: int
    """Number of tokens that the model read."""
    n_left_out: int
    """Number of tokens at the end that the model did not read."""


class RemoteEmbedder:
    """An encoder in the engine's process."""

    def __init__(self, process: EngineProcess, path: Path) -> None:
        """Open the encoder at `path`; InputError if there is none."""
        self._process = process
        self._model = process.open_encoder(path)
        self._release = weakref.finalize(self, process.close_model, self._model)

    @property
    def facts(self) -> OpenedModel:
        """What the process reported about the model when it opened it."""
        return self._process.facts(self._model)

    @property
    def max_length(self) -> int:
        """Longest text that is read whole, in tokens."""
        return self.facts.context_length

    @property
    def vector_size(self) -> int:
        """Number of numbers in a vector."""
        return self.facts.vector_size

    def embed(self, texts: Sequence[str]) -> list[RemoteVector]:
        """Compute the vector of each text."""
        found = self._process.call("embed", self._model, texts=list(texts))
        return [RemoteVector(**vector) for vector in found]
