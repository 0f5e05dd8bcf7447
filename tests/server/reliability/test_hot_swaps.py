"""Versions of a model are swapped under load: every reply is wholly of one version, never stale.

The registry names another version, the server opens it in the engine's process and publishes it,
and clients ask all the time. A reply is wrong if it differs from the reply of its version alone. It
is stale if its version is older than one that was announced before the client asked.
"""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory, registry
from chatwright.cli.served_models import ServedModels
from chatwright.conversation import Message
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.pipeline import model_versions
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.http_server import serve_in_thread
from chatwright.server.replies.engine_thread import Limits
from chatwright.server.served_versions import follow_versions
from chatwright.server.service import Service
from chatwright.server.status import Status
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

pytestmark = pytest.mark.ci

N_VERSION, N_SEED, N_CLIENT = 3, 8, 6
BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}
MESSAGE = "abcdef"
MAX_TOKENS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions v1 to v3 of one model, with different weights."""
    folder = tmp_path_factory.mktemp("versions")
    for number in range(1, N_VERSION + 1):
        model_directory.save(folder / f"m{number}", small_model(number), TOKENIZER)
        registry.add(folder, model_versions.describe(folder, folder / f"m{number}"))
    return folder


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[tuple[str, int], str]:
    """The reply of each version to each seed, by an engine that generates nothing else."""
    found = {}
    for number in range(1, N_VERSION + 1):
        model, tokenizer = model_directory.load(folder / f"m{number}")
        with Engine(model) as engine:
            assistant = Assistant(engine, tokenizer)
            for seed in range(N_SEED):
                sampling = SamplingConfig(seed=seed, max_tokens=MAX_TOKENS, logit_bias=BIAS)
                *_, finished = assistant.reply([Message("user", MESSAGE)], sampling)
                found[f"v{number}", seed] = finished.message.text
    assert len(set(found.values())) == len(found)
    return found


@dataclass
class Swaps:
    """What was announced, and what was wrong with the replies. Every thread may use it."""

    announced: list[str] = field(default_factory=list)
    """Name of the version of each model number, the first one's is 1."""
    problems: list[str] = field(default_factory=list)
    n_reply: int = 0
    n_crossed: int = 0
    """Replies during which another version was announced."""
    is_over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def announce(self, name: str) -> None:
        """Note that requests from now on are answered by a version."""
        with self.changed:
            self.announced.append(name)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for something that replies or announcements change."""
        with self.changed:
            assert self.changed.wait_for(condition, 120), "nothing happened for two minutes"

    def check(self, n_before: int, number: int, seed: int, text: str, alone: Any) -> None:
        """Note a reply. `n_before` models were announced when its client asked."""
        with self.changed:
            # The published model is announced a moment later.
            self.changed.wait_for(lambda: len(self.announced) >= number, 60)
            name = self.announced[number - 1]
            if number < n_before:
                self.problems.append(f"stale: model {number} after {n_before} was announced")
            if text != alone[name, seed]:
                self.problems.append(f"wrong: seed {seed} is not the reply of {name} alone")
            self.n_reply += 1
            self.n_crossed += len(self.announced) > n_before
            self.changed.notify_all()


Publish = Callable[[ServedModels, Service, Path], None]


def publish(models: ServedModels, service: Service, folder: Path) -> None:
    """Publish the version that the registry names."""
    models.publish(service, folder)


def publish_nothing(models: ServedModels, service: Service, folder: Path) -> None:
    """Count a new model and keep the old weights: a planted fault."""
    served = service.engine.require_served()
    service.publish(served.assistant, service.model_name, "", served.identity)


@contextmanager
def served(folder: Path, swaps: Swaps, how: Publish) -> Iterator[str]:
    """Serve the registry's version and yield the address."""
    process = EngineProcess()
    try:
        models = ServedModels(process, MemoryLimits())
        limits = Limits.of_engine(N_CLIENT)
        ready = Status(state="ready")
        with serve_in_thread("m", 0, status=lambda: ready, limits=limits) as (service, address):

            def switch(_: Path) -> None:
                name = registry.read(folder).current.name
                how(models, service, folder)
                swaps.announce(name)

            opened = models.open_model(folder)
            service.publish(opened.assistant, "m", "", opened.facts.identity)
            swaps.announce(registry.read(folder).current.name)
            found = opened.facts.directory
            with follow_versions(folder, found, switch, swaps.problems.append, seconds=0.01):
                yield address
    finally:
        process.close()


def ask(address: str, seed: int, is_streamed: bool) -> tuple[int, str]:
    """Return the number of the model that replied, and the text."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": MESSAGE}],
        "seed": seed,
        "max_tokens": MAX_TOKENS,
        "logit_bias": NO_CONTROL_TOKENS,
        "stream": is_streamed,
    }
    headers = {"Content-Type": "application/json"}
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/v1/chat/completions", data, headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        if not is_streamed:
            whole = json.load(response)
            number = whole["chatwright"]["model"]["number"]
            return number, whole["choices"][0]["message"]["content"]
        number, text = 0, ""
        for line in response:
            if line.startswith(b"data: {"):
                chunk = json.loads(line.removeprefix(b"data: "))
                number = chunk.get("chatwright", {}).get("model", {}).get("number", number)
                text += chunk["choices"][0]["delta"].get("content") or ""
        return number, text


def run(folder: Path, alone: dict[tuple[str, int], str], n_swap: int, how: Publish) -> Swaps:
    """Swap versions while clients ask; return what was noticed."""
    swaps = Swaps()
    with served(folder, swaps, how) as address, ThreadPoolExecutor(N_CLIENT) as pool:

        def client(index: int) -> None:
            count = 0
            while not swaps.is_over:
                seed = (index + count) % N_SEED
                n_before = len(swaps.announced)
                number, text = ask(address, seed, is_streamed=bool((index + count) % 2))
                swaps.check(n_before, number, seed, text, alone)
                count += 1

        clients = [pool.submit(client, index) for index in range(N_CLIENT)]
        try:
            for _ in range(n_swap):
                current, n_announced = registry.read(folder).current.name, len(swaps.announced)
                registry.promote(folder, f"v{int(current[1:]) % N_VERSION + 1}", "the next one")
                swaps.wait_for(lambda n=n_announced: len(swaps.announced) > n)
                # Every version answers under load before the next one comes.
                wanted = swaps.n_reply + N_CLIENT
                swaps.wait_for(lambda n=wanted: swaps.n_reply >= n)
        finally:
            swaps.is_over = True
        for one in clients:
            one.result()
    return swaps


@pytest.mark.parametrize(
    "n_swap", [4, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]
)
def test_no_reply_is_wrong_or_stale(
    folder: Path, alone: dict[tuple[str, int], str], n_swap: int
) -> None:
    swaps = run(folder, alone, n_swap, publish)
    print(f"{n_swap} swaps, {swaps.n_reply} replies, {swaps.n_crossed} crossed a swap")
    assert swaps.problems == []
    assert len(swaps.announced) == n_swap + 1
    assert swaps.n_reply >= n_swap * N_CLIENT
    assert swaps.n_crossed >= n_swap / 2, "replies were open while versions were swapped"


def test_a_swap_that_keeps_the_old_weights_is_noticed(
    folder: Path, alone: dict[tuple[str, int], str]
) -> None:
    """Control: the server counts a new model and replies with the old one."""
    swaps = run(folder, alone, 1, publish_nothing)
    assert any(problem.startswith("wrong") for problem in swaps.problems)


def test_a_stale_reply_and_a_mixed_one_are_noticed(alone: dict[tuple[str, int], str]) -> None:
    """Control of the check itself."""
    swaps = Swaps(announced=["v1", "v2"])
    swaps.check(2, 1, 0, alone["v1", 0], alone)
    mixed = alone["v1", 0][:30] + alone["v2", 0][30:]
    swaps.check(2, 2, 0, mixed, alone)
    swaps.check(2, 2, 0, alone["v2", 0], alone)
    assert [problem.split(":")[0] for problem in swaps.problems] == ["stale", "wrong"]
