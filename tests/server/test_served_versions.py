"""A running server serves the version that the registry names; open replies keep their weights."""

import json
import urllib.request
from collections.abc import Iterable
from http.client import HTTPResponse
from pathlib import Path
from threading import Event

import pytest

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory, registry
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.engine import Engine
from chatwright.engine.messages import SamplingConfig
from chatwright.model.gpt import GPT, init_weights
from chatwright.model.gpt_config import GPTConfig
from chatwright.pipeline import model_versions
from chatwright.server.http_server import serve_in_thread
from chatwright.server.served_versions import follow_versions
from chatwright.server.status import Status
from chatwright.tokenizer.characters import CharacterTokenizer

TOKENIZER = CharacterTokenizer.train(["abcdefgh é🙂"])
NO_CONTROL_TOKENS = dict.fromkeys(map(str, TOKENIZER.control.all()), -100)
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "abc"}],
    "max_tokens": 60,
    "seed": 3,
    "stream": True,
    "logit_bias": NO_CONTROL_TOKENS,
}


def save_model(path: Path, seed: int) -> None:
    shape = {"n_layer": 1, "n_head": 2, "n_kv_head": 1, "head_dim": 32, "d_model": 64, "d_ff": 64}
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=96, **shape))
    init_weights(model, generator(seed, "init"))
    model_directory.save(path, model, TOKENIZER)


def open_assistant(path: Path) -> Assistant:
    model, tokenizer = model_directory.load(path)
    return Assistant(Engine(model), tokenizer)


class Slow(Assistant):
    """Waits before each event, for half a second or until `is_over` is set."""

    def __init__(self, assistant: Assistant, is_over: Event) -> None:
        super().__init__(assistant.engine, assistant.tokenizer)
        self.is_over = is_over
        self.n_event = 0

    def reply(self, *arguments, **options):
        for event in super().reply(*arguments):
            self.is_over.wait(0.5)
            self.n_event += 1
            yield event


def alone(path: Path) -> str:
    """The whole reply of the model at `path`, without a server."""
    sampling = SamplingConfig(
        seed=3, max_tokens=60, logit_bias=dict.fromkeys(TOKENIZER.control.all(), -100)
    )
    *_, finished = open_assistant(path).reply([Message("user", "abc")], sampling)
    return finished.message.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Versions v1 and v2 of one model, with different weights."""
    for number in (1, 2):
        save_model(tmp_path / f"m{number}", number)
        model = tmp_path / f"m{number}"
        version = model_versions.describe(tmp_path, model)
        registry.add(tmp_path, version)
    return tmp_path


def read_text(lines: Iterable[bytes]) -> str:
    """Return the text in the lines of a stream of events."""
    text = ""
    for line in lines:
        if line.startswith(b"data: {"):
            choices = json.loads(line.removeprefix(b"data: "))["choices"]
            text += choices[0]["delta"].get("content") or ""
    return text


def post(address: str, **fields: object) -> HTTPResponse:
    data = json.dumps(BODY | fields).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/v1/chat/completions", data, headers)
    response: HTTPResponse = urllib.request.urlopen(request, timeout=30)
    return response


def ask(address: str) -> tuple[str, str]:
    """Return a reply and the description of the model that wrote it."""
    body = json.load(post(address, stream=False))
    return body["choices"][0]["message"]["content"], body["chatwright"]["model"]["description"]


def test_promotion_and_rollback_switch_between_replies(folder: Path) -> None:
    replies = {name: alone(folder / f"m{name[1]}") for name in ("v1", "v2")}
    assert replies["v1"] != replies["v2"]
    switched = Event()
    with serve_in_thread("m", 0, status=lambda: Status(state="ready")) as (service, address):

        def publish(model: Path) -> None:
            service.publish(open_assistant(model), "m", registry.read(folder).current.name)
            n_event.append(slow.n_event)
            switched.set()

        n_event: list[int] = []
        found = model_directory.find(folder)
        slow = Slow(open_assistant(found), switched)
        service.publish(slow, "m", "v1")
        with follow_versions(folder, found, publish, pytest.fail, seconds=0.02):
            with post(address) as stream:
                beginning = read_text(stream.readline() for _ in range(6))
                registry.promote(folder, "v2", "better")
                assert switched.wait(30)
                assert n_event[0] < BODY["max_tokens"], "the reply was open during the switch"
                assert ask(address) == (replies["v2"], "v2")
                assert beginning + read_text(stream) == replies["v1"]
            switched.clear()
            registry.rollback(folder)
            assert switched.wait(30)
            assert ask(address) == (replies["v1"], "v1")
            status = service.status()
            assert (status.model, status.model_number) == ("v1", 3)


def test_a_version_that_cannot_be_opened_leaves_the_served_one(folder: Path) -> None:
    warned = Event()
    published: list[Path] = []
    found = model_directory.find(folder)
    registry.promote(folder, "v2", "better")
    (folder / "m2" / "MANIFEST.json").write_text("{}")
    with follow_versions(folder, found, published.append, lambda _: warned.set(), seconds=0.02):
        assert warned.wait(10)
    assert not published


def test_a_registry_that_begins_while_serving_changes_nothing(tmp_path: Path) -> None:
    save_model(tmp_path / "m", 1)
    published: list[Path] = []
    with follow_versions(tmp_path, tmp_path / "m", published.append, pytest.fail, seconds=0.01):
        registry.add(tmp_path, model_versions.describe(tmp_path, tmp_path / "m"))
        registry.read(tmp_path)
    assert not published
