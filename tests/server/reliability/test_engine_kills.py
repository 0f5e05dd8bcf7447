"""The engine's process is killed again and again under load: no reply is wrong, none hangs.

A reply is whole and equal to the same reply alone, or it ends with an error. Text before an error
is the beginning of the reply. After each kill the server replies again.
"""

import json
import os
import random
import signal
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.cli.served_models import ServedModels
from chatwright.conversation import Message
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.engine import Engine
from chatwright.engine.messages import Event, RequestFinished, SamplingConfig
from chatwright.server.engine_process import client as client_module
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.http_server import serve_in_thread
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.status import Status
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(os.name != "posix", reason="the signal is POSIX's"),
]

N_CLIENT, N_SEED, MAX_TOKENS = 4, 8, 60
MESSAGE = "abcdef"
PATIENCE = 300  # seconds until nothing is expected any more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "m"
    model_directory.save(folder, small_model(), TOKENIZER)
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[str]:
    """The reply to each seed, by an engine that generates nothing else."""
    bias = {int(token_id): value for token_id, value in NO_CONTROL_TOKENS.items()}
    model, tokenizer = model_directory.load(folder)
    with Engine(model) as engine:
        assistant = Assistant(engine, tokenizer)
        texts = []
        for seed in range(N_SEED):
            sampling = SamplingConfig(seed=seed, max_tokens=MAX_TOKENS, logit_bias=bias)
            *_, finished = assistant.reply([Message("user", MESSAGE)], sampling)
            texts.append(finished.message.text)
    assert len(set(texts)) == N_SEED
    return texts


@dataclass
class Answer:
    """What a client got."""

    text: str = ""
    is_whole: bool = False
    error: str = ""
    """The code of an error; "" for none."""
    may_retry: bool = True
    """Whether a refusal said when to try again."""


@dataclass
class Watch:
    """What the clients got. Every thread may use it."""

    alone: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    is_over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def count(self, what: str) -> None:
        """Count a piece of text or an answer."""
        with self.changed:
            self.counts[what] += 1
            self.changed.notify_all()

    def wait_for(self, what: str, n_more: int) -> None:
        """Wait until more has been counted."""
        with self.changed:
            wanted = self.counts[what] + n_more
            found = self.changed.wait_for(lambda: self.counts[what] >= wanted, PATIENCE)
            assert found, f"waited for {n_more} of {what}, counted {dict(self.counts)}"

    def check(self, seed: int, answer: Answer) -> None:
        """Count an answer, and note what is wrong with it."""
        if answer.is_whole and answer.text != self.alone[seed]:
            self.problems.append(f"wrong: seed {seed} is not the reply alone")
        elif not answer.is_whole and not self.alone[seed].startswith(answer.text):
            self.problems.append(f"wrong beginning: seed {seed}")
        elif answer.is_whole == bool(answer.error):
            self.problems.append("cut: an answer ended neither whole nor with an error")
        elif not answer.may_retry:
            self.problems.append("refused without Retry-After")
        self.count("whole" if answer.is_whole else "failed" if answer.text else "refused")


def ask(address: str, seed: int, is_streamed: bool, took_text: Callable[[], None]) -> Answer:
    """Ask for a reply; call `took_text` for each piece of it."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": MESSAGE}],
        "seed": seed,
        "max_tokens": MAX_TOKENS,
        "logit_bias": NO_CONTROL_TOKENS,
        "stream": is_streamed,
    }
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    answer = Answer()
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            if not is_streamed:
                [choice] = json.load(response)["choices"]
                return Answer(choice["message"]["content"], is_whole=True)
            for line in response:
                if line.startswith(b"data: [DONE]"):
                    answer.is_whole = True
                elif line.startswith(b"data: "):
                    chunk = json.loads(line.removeprefix(b"data: "))
                    answer.error = chunk.get("error", {}).get("code", "")
                    for choice in chunk.get("choices", ()):
                        answer.text += choice["delta"].get("content") or ""
                        took_text()
            return answer
    except urllib.error.HTTPError as error:
        with error:
            answer.error = json.load(error)["error"]["code"]
            answer.may_retry = error.code != 503 or int(error.headers["Retry-After"]) > 0
            return answer


@contextmanager
def served(folder: Path) -> Iterator[tuple[EngineProcess, str, Callable[[float], bool]]]:
    """Serve a model; yield the engine's process, the address, and a wait for the open model."""
    process = EngineProcess(warn=lambda message: None)
    try:
        opened = ServedModels(process, MemoryLimits()).open_model(folder)
        ready, limits = Status(state="ready"), Limits.of_engine(N_CLIENT)
        with serve_in_thread("m", 0, status=lambda: ready, limits=limits) as (service, address):
            service.publish(opened.assistant, "m", "", opened.facts.identity)
            yield process, address, opened.assistant.engine.wait_until_open
            assert service.engine.wait_until_idle(PATIENCE), "a reply never ended"
    finally:
        process.close()


def run(folder: Path, alone: list[str], n_kill: int) -> Watch:
    """Kill the engine's process while clients ask; return what they got."""
    watch, choose = Watch(alone), random.Random(n_kill)
    with (
        served(folder) as (process, address, is_open_within),
        ThreadPoolExecutor(N_CLIENT) as pool,
    ):

        def client(index: int) -> None:
            count = 0
            while not watch.is_over and is_open_within(PATIENCE):
                seed, is_streamed = (index + count) % N_SEED, (index + count) % 3 > 0
                watch.check(seed, ask(address, seed, is_streamed, lambda: watch.count("pieces")))
                count += 1

        clients = [pool.submit(client, index) for index in range(N_CLIENT)]
        try:
            for number in range(1, n_kill + 1):
                watch.wait_for("whole", 1)
                watch.wait_for("pieces", choose.randint(1, 100))
                os.kill(process.process_id, signal.SIGKILL)
                while process.n_restart < number or not is_open_within(1):
                    pass
            watch.wait_for("whole", N_CLIENT)
        finally:
            watch.is_over = True
        for one in clients:
            one.result()
    return watch


@pytest.mark.parametrize(
    "n_kill", [3, pytest.param(50, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]
)
def test_no_reply_is_wrong_and_the_server_recovers(
    folder: Path, alone: list[str], n_kill: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LONGEST_PAUSE", client_module.FIRST_PAUSE)
    watch = run(folder, alone, n_kill)
    print(f"{n_kill} kills: {dict(watch.counts)}")
    assert watch.problems == []
    assert watch.counts["failed"] >= n_kill / 2, "replies were open when the process was killed"


def test_cut_replies_that_look_whole_are_noticed(
    folder: Path, alone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: the replies of a killed process are reported as complete."""
    take_events = EngineProcess.take_events

    def complete(event: Event) -> Event:
        has_failed = isinstance(event, RequestFinished) and event.reason == "failed"
        return replace(event, reason="stop", error="") if has_failed else event

    def take(process: EngineProcess, model: str) -> list[Event]:
        return [complete(event) for event in take_events(process, model)]

    monkeypatch.setattr(EngineProcess, "take_events", take)
    watch = run(folder, alone, 1)
    assert any(problem.startswith("wrong:") for problem in watch.problems)


def test_wrong_answers_are_noticed() -> None:
    """Control of the check itself."""
    watch = Watch(["abc", "abd"])
    right = (Answer("abc", is_whole=True), Answer("ab", error="reply_failed"), Answer(error="x"))
    for answer in right:
        watch.check(0, answer)
    assert watch.problems == []
    for answer in (
        Answer("abd", is_whole=True),
        Answer("b", error="reply_failed"),
        Answer("ab"),
        Answer(error="x", may_retry=False),
    ):
        watch.check(0, answer)
    first_words = [problem.split()[0] for problem in watch.problems]
    assert first_words == ["wrong:", "wrong", "cut:", "refused"]
