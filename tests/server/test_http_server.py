"""A server that stops: live replies end, late ones with an error event, waiting ones get 503."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from chatwright.chat.reply_events import TextDelta
from chatwright.checkpoint import model_directory
from chatwright.server.address import Address
from chatwright.server.app import make_app
from chatwright.server.http_server import DrainingServer
from chatwright.server.replies.engine_thread import Limits
from tests.server.fake_assistant import FakeAssistant
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
URL = "/v1/chat/completions"


@contextmanager
def running(
    assistant: FakeAssistant, grace_seconds: float, limits: Limits
) -> Iterator[tuple[DrainingServer, str, threading.Thread]]:
    address = Address(port=0)
    server = DrainingServer(make_app(assistant, "m", limits=limits), address, grace_seconds)
    with address.open() as listener:
        arguments = {"sockets": [listener]}
        thread = threading.Thread(target=server.run, kwargs=arguments)
        thread.start()
        try:
            yield server, address.url(listener.getsockname()[1]), thread
        finally:
            server.should_exit = True
            thread.join()


def last_events(text: str) -> list[str]:
    return text.removesuffix("\n\n").split("\n\n")[-2:]


def in_thread(work: Any) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


class Speaker(FakeAssistant):
    """Says words until the gate opens, and then those of a FakeAssistant."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.began = threading.Event()

    def reply(
        self,
        conversation: Any,
        sampling: Any,
        thinking: Any = None,
        form: Any = None,
        *,
        user: str = "",
    ) -> Iterator[Any]:
        try:
            while not self.gate.wait(0.01):
                yield TextDelta("word ")
                self.began.set()
        except GeneratorExit:
            self.n_closed += 1
            raise
        yield from super().reply(conversation, sampling, thinking)


def test_a_live_reply_ends_with_its_last_word_and_a_waiting_one_gets_503() -> None:
    assistant = Speaker()
    limits = Limits(max_live=1, max_waiting=1)
    with running(assistant, 60, limits) as (server, url, thread):
        live, streamed = in_thread(
            lambda: httpx.post(url + URL, json={**ASK, "seed": 1, "stream": True}, timeout=30)
        )
        assert assistant.began.wait(30)
        waiting, refused = in_thread(lambda: httpx.post(url + URL, json=ASK, timeout=30))
        while server.engine.n_open < 2:
            assert waiting.is_alive()
        server.should_exit = True
        waiting.join(30)  # refused while the live reply still speaks
        assert server.engine.is_draining
        assistant.gate.set()
        for one in (live, waiting, thread):
            one.join(30)
            assert not one.is_alive()
        assert last_events(streamed[0].text)[-1] == "data: [DONE]"
        [response] = refused
        assert (response.status_code, response.json()["error"]["code"]) == (503, "shutting_down")
        assert int(response.headers["retry-after"]) > 0


def test_a_reply_that_is_late_ends_with_an_error_event() -> None:
    assistant = Speaker()
    with running(assistant, 0, Limits()) as (server, url, thread):
        with httpx.stream("POST", url + URL, json={**ASK, "stream": True}, timeout=30) as response:
            lines = response.iter_lines()
            first = [next(lines) for _ in range(3)]
            server.should_exit = True
            last = [line for line in lines if line][-1]
        thread.join(30)
        assert not thread.is_alive()
    assert json.loads(first[0].removeprefix("data: "))["object"] == "chat.completion.chunk"
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert assistant.n_closed == 1


@pytest.mark.ci
@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are POSIX's")
@pytest.mark.parametrize("is_ctrl_c", [False, True])
def test_a_signal_ends_the_program_with_status_0(tmp_path: Path, is_ctrl_c: bool) -> None:
    """A real program with a real model: one stream, one waiting request, one signal.

    A supervisor sends SIGTERM to the server. Ctrl-C sends SIGINT to the engine's process, too.
    """
    model_directory.save(tmp_path / "m", small_model(context_length=4096), TOKENIZER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--max-replies", "1"]
    program = subprocess.Popen(
        [sys.executable, "-m", "chatwright", "serve", str(tmp_path / "m"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    body = {"model": "m", "messages": [{"role": "user", "content": "abc"}]}
    body |= {"logit_bias": NO_CONTROL_TOKENS, "max_tokens": 300}
    try:
        assert program.stdout is not None
        program.stdout.readline()  # the address is announced
        with httpx.stream("POST", url + URL, json={**body, "stream": True}, timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("data: ")
            waiting, refused = in_thread(lambda: httpx.post(url + URL, json=body, timeout=60))
            # The second request has probably arrived when a later one has been answered.
            httpx.get(url + "/readyz", timeout=60)
            if is_ctrl_c:
                os.killpg(program.pid, signal.SIGINT)
            else:
                program.terminate()
            last = [line for line in lines if line][-1]
        waiting.join(60)
        out, err = program.communicate(timeout=60)
    finally:
        program.kill()
        program.wait()
    assert last == "data: [DONE]"
    assert program.returncode == 0
    assert "Traceback" not in out + err
    if refused:  # it ended within the grace time, was refused, or found the port closed
        assert refused[0].status_code in (200, 503)
