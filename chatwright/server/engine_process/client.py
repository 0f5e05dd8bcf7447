"""The web application's side of the engine's process: start it, talk to it, restart it.

If the process ends, the replies that it was generating fail with an explanation, and a new process
opens the same models again. Meanwhile new requests are refused (`EngineUnavailable`), which clients
see as status 503.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.message_codec import event_from_json, request_to_json
from chatwright.engine.messages import (
    EngineUnavailable,
    Event,
    Request,
    RequestFinished,
    RequestId,
    new_request_id,
)
from chatwright.engine.vocabulary import Vocabulary
from chatwright.errors import InputError
from chatwright.server.engine_process.message_pipe import Json, read_message, write_message
from chatwright.server.engine_process.opened_model import OpenedModel

STEP_WAIT = 0.1
"""Seconds that `take_events` waits for events; cancels and deadlines are checked after it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a restart; doubled after each process that ended within a minute."""
CallKind = Literal["embed", "forget", "inspect", "load_adapter", "unload_adapter"]
"""Messages that the process answers (`program.py` lists what each holds and does)."""
KindOfModel = Literal["text", "vectors"]
ENDED = "the engine's process ended while it generated this reply; it is being restarted"


@dataclass
class _Model:
    """What the web application knows about one model of the process."""

    open_message: Json
    show: Callable[[str, bool], None]
    """Receives what is being done, and whether the text is a note: one that stays on the screen."""
    facts: OpenedModel | None = None
    error: InputError | None = None
    is_open: bool = False
    events: deque[Event] = field(default_factory=deque)
    adapters: dict[str, Json] = field(default_factory=dict)
    """The messages that load its adapters, by the adapter's name."""
    failed_adapters: dict[str, str] = field(default_factory=dict)
    """Why an adapter could not be loaded again after a restart, by its name."""
    live: dict[RequestId, int] = field(default_factory=dict)
    """The requests that have not ended, each with the number of replies that it asked for."""


class EngineProcess:
    """Runs `server.engine_process` and starts it again when it ends."""

    def __init__(
        self, command: Sequence[str] | None = None, warn: Callable[[str], None] | None = None
    ) -> None:
        """Start the process.

        Args:
            command: The command that runs it; replaced in tests.
            warn: Receives a message when the process ended unexpectedly.
        """
        self._command = command or [sys.executable, "-m", "chatwright.server.engine_process"]
        self._warn = warn or (lambda message: print(message, file=sys.stderr, flush=True))
        self._changed = threading.Condition()
        self._write_lock = threading.Lock()
        self._models: dict[str, _Model] = {}
        self._answers: dict[str, Json] = {}  # by the id of the call
        self._reloads: dict[str, tuple[_Model, str]] = {}  # id of the call -> model and adapter
        self._ids = itertools.count(1)
        self._is_closing = False
        self.n_restart = 0
        """Number of times that the process was started again."""
        self._process = self._start()
        self._thread = threading.Thread(target=self._supervise, name="engine pipe", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The process's id in the operating system."""
        return self._process.pid

    def open_decoder(
        self,
        path: Path,
        limits: MemoryLimits,
        n_reply: int,
        show: Callable[[str, bool], None] = lambda text, is_note: None,
    ) -> str:
        """Open the decoder at `path` and return its id; InputError if that is impossible.

        Args:
            path: A model directory, a training run, or a directory of versions.
            limits: What the user set about memory.
            n_reply: Number of replies that are generated together, if they fit.
            show: Receives what is being done, and whether the text is a note: one that stays on
                the screen.
        """
        return self._open("text", path, limits, n_reply, show)

    def open_encoder(self, path: Path) -> str:
        """Open the encoder at `path` and return its id; InputError if there is none."""
        return self._open("vectors", path, MemoryLimits(), 0, lambda text, is_note: None)

    def close(self) -> None:
        """End the process."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        process = self._process
        assert process.stdin is not None, "the process was started with pipes"
        with suppress(OSError):  # it has ended already
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:  # in the middle of a long step
            process.kill()
        self._thread.join()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; EngineUnavailable if the process is not there."""
        process = self._process
        assert process.stdin is not None, "the process was started with pipes"
        try:
            with self._write_lock:
                write_message(process.stdin, {"kind": kind, **content})
        except (OSError, ValueError):  # ValueError: the pipe is closed
            raise EngineUnavailable from None

    def facts(self, model: str) -> OpenedModel:
        """Return what the process reported about a model when it opened it."""
        facts = self._models[model].facts
        assert facts is not None, "a model has facts once it was opened"
        return facts

    def set_vocabulary(self, model: str, vocabulary: Vocabulary) -> None:
        """Send the bytes of a model's tokens; a process that is started again gets them, too."""
        known = self._models[model]
        known.open_message["vocabulary"] = vocabulary.to_json()
        self.send("vocabulary", model=model, vocabulary=known.open_message["vocabulary"])

    def submit(self, model: str, request: Request) -> RequestId:
        """Send a request of a model to the process."""
        request_id = new_request_id()
        with self._changed:
            known = self._models[model]
            if not known.is_open:
                raise EngineUnavailable
            known.live[request_id] = request.sampling.n
        content = request_to_json(request)
        try:
            self.send("submit", model=model, request=request_id, content=content)
        except EngineUnavailable:
            with self._changed:
                known.live.pop(request_id, None)
            raise
        return request_id

    def cancel(self, model: str, request_id: RequestId) -> None:
        """Cancel a request; nothing happens if it has ended."""
        with self._changed:
            if request_id not in self._models[model].live:
                return
        with suppress(EngineUnavailable):  # its end is reported by the thread that reads the pipe
            self.send("cancel", model=model, request=request_id)

    def wait_until_open(self, model: str, seconds: float) -> bool:
        """Wait until a model is open, also after a restart; return False after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._models[model].is_open, seconds)

    def n_live(self, model: str) -> int:
        """Return the number of requests that have not ended."""
        return len(self._models[model].live)

    def has_events(self, model: str) -> bool:
        """Whether events wait to be taken."""
        return bool(self._models[model].events)

    def take_events(self, model: str) -> list[Event]:
        """Return the events of a model; wait for a moment if there are none of any model."""
        with self._changed:
            known = self._models[model]
            if not known.events:
                self._changed.wait_for(self._has_any_event, STEP_WAIT)
            events = list(known.events)
            known.events.clear()
            return events

    def call(self, kind: CallKind, model: str, **content: Any) -> Any:
        """Send a message about a model, wait for the answer, and return its result.

        Raises:
            InputError: The process refused the call; the error says what to change.
            EngineUnavailable: The process ended.
        """
        call_id = str(next(self._ids))
        n_restart = self.n_restart
        self.send(kind, model=model, call=call_id, **content)
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    call_id in self._answers
                    or self.n_restart != n_restart
                    or not self.is_alive
                    or self._is_closing
                )
            )
            answer = self._answers.pop(call_id, None)
        if answer is None:
            raise EngineUnavailable
        if error := answer.get("error"):
            raise _input_error(error)
        return answer["result"]

    def load_adapter(self, model: str, name: str, path: Path) -> str:
        """Load an adapter of a model; return the SHA-256 of its weights.

        After a restart of the process it is loaded again.

        Raises:
            InputError: There is no adapter, or it does not fit the model.
            EngineUnavailable: The process ended.
        """
        content = {"name": name, "path": str(path)}
        content["base_weights"] = self.facts(model).identity.weights
        answer = self.call("load_adapter", model, **content)
        with self._changed:
            self._models[model].adapters[name] = content
            self._models[model].failed_adapters.pop(name, None)
        return str(answer["weights"])

    def failed_adapters(self, model: str) -> dict[str, str]:
        """Return why adapters could not be loaded again after a restart, by their names."""
        with self._changed:
            return dict(self._models[model].failed_adapters)

    def unload_adapter(self, model: str, name: str) -> None:
        """Remove an adapter from memory; InputError if replies in progress use it."""
        with self._changed:
            if self._models[model].failed_adapters.pop(name, None) is not None:
                return  # the process does not have it
        self.call("unload_adapter", model, name=name)
        with self._changed:
            self._models[model].adapters.pop(name, None)

    def close_model(self, model: str) -> None:
        """Release a model; its requests must have ended."""
        with self._changed:
            if self._models.pop(model, None) is None or self._is_closing:
                return
        with suppress(EngineUnavailable):  # a process that has ended holds no model
            self.send("close", model=model)

    def _open(
        self,
        kind: KindOfModel,
        path: Path,
        limits: MemoryLimits,
        n_reply: int,
        show: Callable[[str, bool], None],
    ) -> str:
        """Open a model and wait until it is open; return its id."""
        model = str(next(self._ids))
        message = {
            "model": model,
            "kind_of_model": kind,
            "path": str(path),
            "limits": asdict(limits),
            "n_reply": n_reply,
        }
        known = _Model(message, show)
        with self._changed:
            self._models[model] = known
        self._send_open(known)
        with self._changed:
            self._changed.wait_for(lambda: known.is_open or known.error or self._is_closing)
            if known.is_open:
                return model
            del self._models[model]
        raise known.error or EngineUnavailable()

    def _send_open(self, known: _Model) -> None:
        with suppress(EngineUnavailable):  # the next process gets the message
            self.send("open", **known.open_message)

    def _start(self) -> subprocess.Popen[bytes]:
        # The thread settings of `chatwright.threads` are in the environment, which it inherits.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _supervise(self) -> None:
        """Read messages; when the process ends, start it again."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            self._read()
            code = self._process.wait()
            _close_pipes(self._process)
            with self._changed:
                self._fail_all()
                if self._is_closing:
                    return
            pause = FIRST_PAUSE if time.monotonic() - began > 60 else min(2 * pause, LONGEST_PAUSE)
            self._warn(f"the engine's process ended (exit status {code}); starting it again")
            with self._changed:
                if self._changed.wait_for(lambda: self._is_closing, pause):
                    return
                self._process = self._start()
                self.n_restart += 1
                reopened = list(self._models.values())
            for known in reopened:
                self._send_open(known)

    def _fail_all(self) -> None:
        """Report the end of every reply, and mark every model as closed."""
        for known in self._models.values():
            known.is_open = False
            for request_id, n_reply in known.live.items():
                known.events.extend(
                    RequestFinished(request_id, index, "failed", index == n_reply - 1, ENDED)
                    for index in range(n_reply)
                )
            known.live.clear()
        self._reloads.clear()
        self._changed.notify_all()

    def _read(self) -> None:
        """Take the messages of the process until it ends."""
        stream = self._process.stdout
        assert stream is not None, "the process was started with pipes"
        while (message := read_message(stream)) is not None:
            with self._changed:
                self._take(message)
                self._changed.notify_all()

    def _take(self, message: Json) -> None:
        if message["kind"] == "answer":
            if (reloaded := self._reloads.pop(message["call"], None)) is not None:
                self._take_reload(*reloaded, message)
            else:
                self._answers[message["call"]] = message
            return
        known = self._models.get(message["model"])
        if known is None:
            return  # closed meanwhile
        match message["kind"]:
            case "progress":
                known.show(message["text"], message["is_note"])
            case "opened":
                known.facts = OpenedModel.from_json(message["facts"])
                known.is_open = True
                with suppress(EngineUnavailable):  # the next process gets the messages
                    for adapter in known.adapters.values():  # after a restart
                        call_id = str(next(self._ids))
                        self._reloads[call_id] = (known, adapter["name"])
                        self.send("load_adapter", model=message["model"], call=call_id, **adapter)
            case "refused":
                known.error = _input_error(message["error"])
            case "events":
                for data in message["events"]:
                    self._take_event(known, event_from_json(data))

    def _take_reload(self, known: _Model, name: str, answer: Json) -> None:
        """Say that an adapter could not be loaded again; its requests fail until it is loaded."""
        error = answer.get("error")
        if error is None or known.adapters.pop(name, None) is None:
            return
        known.failed_adapters[name] = str(_input_error(error))
        self._warn(f"the adapter {name} could not be loaded again: {known.failed_adapters[name]}")

    @staticmethod
    def _take_event(known: _Model, event: Event) -> None:
        known.events.append(event)
        if isinstance(event, RequestFinished) and event.is_last:
            known.live.pop(event.request_id, None)

    def _has_any_event(self) -> bool:
        return any(known.events for known in self._models.values())


def _input_error(error: Json) -> InputError:
    """Return the error that the process reported."""
    return InputError(error["problem"], **{k: v for k, v in error.items() if k != "problem"})


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):  # bytes that the process has not read
            if stream is not None:
                stream.close()
