"""Run engines in a process of their own: `python -m chatwright.server.engine_process`.

The web application starts this process and talks to it over standard input and output, in messages
of `message_pipe.py`. So the web application needs no torch, a long step never delays HTTP, and a
crash in a kernel ends this process only.

Messages to this process (`model` is an id that the web application chose):

    open     model, kind_of_model ("text" or "vectors"), path, limits, n_reply; perhaps vocabulary
    vocabulary  model, vocabulary: the bytes of its tokens, before a request with a constraint
    submit   model, request (an id), content (message_codec)
    cancel   model, request
    embed    model, call (an id), texts
    inspect  model, call, query (`inspection/queries.py`, or words in the embedding matrix)
    forget   model, call, user: cancel this user's replies and erase what is kept of their texts
    load_adapter, unload_adapter   model, call, name, path
    close    model

Messages from this process:

    progress  model, text; is_note: whether the text stays on the screen
    opened    model, facts (`opened_model.py`)
    refused   model, error: the model could not be opened
    events    model, events (message_codec)
    answer    call (the id of the message that is answered), and result or error

Requests of all models advance in turn, one step each. A model is opened in a thread, so replies of
other models continue meanwhile.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.engine import Engine
from chatwright.engine.message_codec import event_to_json, request_from_json
from chatwright.engine.messages import (
    EngineFull,
    Event,
    RequestFinished,
    RequestId,
    refusal_of,
)
from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError
from chatwright.inspection.embeddings import Embeddings
from chatwright.inspection.queries import TraceCache, answer_query
from chatwright.pipeline.adapter_factors import read_adapter
from chatwright.pipeline.open_engine import open_embedder, open_text_model
from chatwright.pipeline.sampling_defaults import defaults_text
from chatwright.server.engine_process.describe_model import embedder_facts, text_model_facts
from chatwright.server.engine_process.message_pipe import Json, read_message, write_message
from chatwright.tasks.embed import Embedder
from chatwright.tokenizer.tokenizer import load_tokenizer


class ServedEngine:
    """One engine and the ids that the web application gave to its requests."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._ids: dict[RequestId, RequestId] = {}  # the engine's id -> the web application's
        self._refused: list[Event] = []

    @property
    def has_work(self) -> bool:
        """Whether `step` has something to do or to report."""
        return self.engine.has_work or bool(self._refused)

    def submit(self, request_id: RequestId, content: Json) -> None:
        """Submit a request. If the engine refuses it, the request ends with the reason."""
        try:
            self._ids[self.engine.submit(request_from_json(content))] = request_id
        except (InputError, EngineFull) as error:
            refused = RequestFinished(
                request_id, 0, "failed", error=str(error), refusal=refusal_of(error)
            )
            self._refused.append(refused)

    def cancel(self, request_id: RequestId) -> None:
        """End a request."""
        for own, others in self._ids.items():
            if others == request_id:
                self.engine.cancel(own)
                return

    def step(self) -> list[Event]:
        """Advance all requests by one step; return the events with the web application's ids."""
        events = self._refused
        self._refused = []
        for event in self.engine.step():
            if (request_id := self._ids.get(event.request_id)) is not None:
                events.append(replace(event, request_id=request_id))
                if isinstance(event, RequestFinished) and event.is_last:
                    del self._ids[event.request_id]
        return events


class EngineServer:
    """Answers the messages of the web application."""

    def __init__(self, output: BinaryIO) -> None:
        """Write messages to `output`."""
        self._output = output
        self._lock = threading.Lock()  # threads that open models write, too
        self._incoming: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._engines: dict[str, ServedEngine] = {}
        self._embedders: dict[str, Embedder] = {}
        self._traces: dict[str, TraceCache] = {}
        self._directories: dict[str, Path] = {}
        self._embeddings: dict[str, Embeddings] = {}  # made when they are first asked for

    def send(self, kind: str, **content: Any) -> None:
        """Write one message."""
        with self._lock:
            write_message(self._output, {"kind": kind, **content})

    def read_from(self, stream: BinaryIO) -> None:
        """Pass on the messages of a stream until its end."""
        while (message := read_message(stream)) is not None:
            self._incoming.put(message)
        self._incoming.put(None)

    def run(self) -> None:
        """Answer messages until the stream of messages ends."""
        while True:
            for message in self._next_messages():
                if message is None:
                    return
                self._handle(message)
            for model, served in self._engines.items():
                if served.has_work and (events := served.step()):
                    content = [event_to_json(event) for event in events]
                    self.send("events", model=model, events=content)

    def _next_messages(self) -> Iterator[Json | None]:
        """Yield the messages that are there; wait for one if no engine has work."""
        if not any(served.has_work for served in self._engines.values()):
            yield self._incoming.get()
        while not self._incoming.empty():
            yield self._incoming.get()

    def _handle(self, message: Json) -> None:
        model = message["model"]
        match message["kind"]:
            case "open":
                threading.Thread(target=self._open, args=(message,), daemon=True).start()
            case "adopt":  # from a thread of this process: the model is open
                self._directories[model] = message["directory"]
                self._adopt(model, message["opened"])
            case "vocabulary":
                if model in self._engines:
                    vocabulary = Vocabulary.from_json(message["vocabulary"])
                    self._engines[model].engine.set_vocabulary(vocabulary)
            case "submit":
                if model in self._engines:
                    request_id = RequestId(message["request"])
                    self._engines[model].submit(request_id, message["content"])
            case "cancel":
                if model in self._engines:
                    self._engines[model].cancel(RequestId(message["request"]))
            case "embed":
                self._answer(message, self._embed)
            case "inspect":
                self._answer(message, self._inspect)
            case "forget":
                self._answer(message, self._forget)
            case "load_adapter":
                self._answer(message, self._load_adapter)
            case "unload_adapter":
                self._answer(message, self._unload_adapter)
            case "close":
                self._embedders.pop(model, None)
                self._traces.pop(model, None)
                self._directories.pop(model, None)
                self._embeddings.pop(model, None)
                if (served := self._engines.pop(model, None)) is not None:
                    served.engine.close()
            case kind:
                raise AssertionError(f"unknown message {kind!r}")

    def _adopt(self, model: str, opened: Engine | Embedder) -> None:
        if isinstance(opened, Engine):
            self._engines[model] = ServedEngine(opened)
        else:
            self._embedders[model] = opened

    def _open(self, message: Json) -> None:
        """Open a model. Report what the web application needs to know, or why it is refused."""
        model, path = message["model"], Path(message["path"])

        def show(text: str, is_note: bool = False) -> None:
            self.send("progress", model=model, text=text, is_note=is_note)

        def note(text: str) -> None:
            show(text, is_note=True)

        try:
            opened: Engine | Embedder
            if message["kind_of_model"] == "vectors":
                opened = open_embedder(path)
                facts = embedder_facts(path, opened)
            else:
                limits = MemoryLimits(**message["limits"])
                opened = open_text_model(path, limits, message["n_reply"], show, note)
                facts = text_model_facts(path, opened)
                if sampling := defaults_text(facts.identity.sampling):
                    note(f"Requests that leave them out are sampled with {sampling}.")
        except Exception as error:  # the web application waits for an answer
            self.send("refused", model=model, error=_error_to_json(error))
        else:
            # The main thread adopts the engine before it reads messages that were sent later.
            adopted = {"opened": opened, "directory": facts.directory}
            self._incoming.put({"kind": "adopt", "model": model, **adopted})
            if "vocabulary" in message:
                self._incoming.put({**message, "kind": "vocabulary"})
            self.send("opened", model=model, facts=facts.to_json())

    def _answer(self, message: Json, compute: Callable[[Json], Any]) -> None:
        """Answer a call with its result, or with the error that prevented it."""
        call_id = message["call"]
        try:
            self.send("answer", call=call_id, result=compute(message))
        except (InputError, RuntimeError, KeyError) as error:
            self.send("answer", call=call_id, error=_error_to_json(error))

    def _embed(self, message: Json) -> list[Json]:
        found = self._embedders[message["model"]].embed(message["texts"])
        return [
            {"vector": text.vector.tolist(), "n_token": text.n_token, "n_left_out": text.n_left_out}
            for text in found
        ]

    def _load_adapter(self, message: Json) -> Json:
        engine = self._engines[message["model"]].engine
        path, base = Path(message["path"]), message["base_weights"]
        adapter = read_adapter(path, engine.forward.model, base)
        engine.load_adapter(message["name"], adapter.factors)
        return {"weights": adapter.weights}

    def _unload_adapter(self, message: Json) -> Json:
        self._engines[message["model"]].engine.unload_adapter(message["name"])
        return {}

    def _forget(self, message: Json) -> Json:
        self._engines[message["model"]].engine.forget_user(message["user"])
        self._traces.pop(message["model"], None)  # nobody knows whose texts they are
        return {}

    def _inspect(self, message: Json) -> Json:
        name, query = message["model"], message["query"]
        model = self._engines[name].engine.forward.model
        if query["what"] == "words":
            if name not in self._embeddings:
                tokenizer = load_tokenizer(self._directories[name])
                self._embeddings[name] = Embeddings.of(model, tokenizer)
            return self._embeddings[name].answer(query["expression"], query["top"])
        traces = self._traces.setdefault(name, TraceCache())
        return answer_query(model, traces, query)


def _error_to_json(error: Exception) -> Json:
    if isinstance(error, InputError):
        reason = {"problem": error.problem, "remedy": error.remedy, "field": error.field}
        return {**reason, "value": str(error.value)}
    return {"problem": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Serve the process that started this one until it closes standard input."""
    # Ctrl-C reaches every process of a terminal. The web application decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Messages have standard output for themselves; whatever libraries print goes to stderr.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    server = EngineServer(output)
    source = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    threading.Thread(target=server.read_from, args=(source,), daemon=True).start()
    try:
        server.run()
    except BrokenPipeError:  # the web application ended without closing the pipe
        os._exit(1)
