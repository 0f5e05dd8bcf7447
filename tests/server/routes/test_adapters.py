"""Adapters of a served model: chosen by name, listed, unloaded, replayed, back after a crash."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory
from chatwright.conversation import Message
from chatwright.devices import generator
from chatwright.engine.cache_plan import MemoryLimits
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.model import lora
from chatwright.pipeline.adapter_factors import read_adapter
from chatwright.pipeline.replay_replies import read_receipts, replay_replies
from chatwright.server.app import make_app
from chatwright.server.engine_process.client import EngineProcess
from chatwright.server.engine_process.remote_engine import RemoteEngine
from chatwright.server.feedback.collector import FeedbackCollector
from tests.server.small_model import NO_CONTROL_TOKENS, TOKENIZER, small_model

NAMES = ("kind", "curt")
BIAS = {int(token_id): bias for token_id, bias in NO_CONTROL_TOKENS.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two adapters of it, and one of another base."""
    folder = tmp_path_factory.mktemp("adapters")
    for base, seed, names in (("base", 5, NAMES), ("other", 6, ("stray",))):
        model_directory.save(folder / base, small_model(seed), TOKENIZER)
        for name in names:
            model, _ = model_directory.load(folder / base)
            lora.attach(model, lora.LoRAConfig(rank=2), generator(1, name))
            for layer in lora.lora_layers(model).values():
                layer.lora_b.data.normal_(0.0, 0.4, generator=generator(layer.lora_b.numel(), name))
            reference = model_directory.base_of(model, folder / base)
            model_directory.save(folder / name, model, TOKENIZER, base=reference)
    return folder


@pytest.fixture(scope="module")
def process() -> Iterator[EngineProcess]:
    process = EngineProcess(warn=lambda message: None)
    yield process
    process.close()


@pytest.fixture(scope="module")
def client(folder: Path, process: EngineProcess) -> Iterator[TestClient]:
    engine = RemoteEngine(process, folder / "base", MemoryLimits(), 4)
    app = make_app(None, "base")
    assistant = Assistant(engine, TOKENIZER, reports_waiting=True)
    app.state.service.publish(assistant, "base", "", engine.facts.identity)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for name in NAMES:
            body = {"name": name, "path": str(folder / name)}
            response = client.post("/v1/adapters", json=body)
            assert response.status_code == 200, response.text
        yield client


def ask(client: TestClient, model: str) -> dict[str, Any]:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "abc"}],
        "seed": 4,
        "max_tokens": 12,
        "receipt": True,
        "logit_bias": NO_CONTROL_TOKENS,
    }
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def text(response: dict[str, Any]) -> str:
    return str(response["choices"][0]["message"]["content"])


def test_each_name_replies_as_an_engine_with_this_adapter(client: TestClient, folder: Path) -> None:
    sampling = SamplingConfig(seed=4, max_tokens=12, logit_bias=BIAS)
    weights = model_directory.weights_hash(folder / "base")
    found = {name: text(ask(client, name)) for name in ("base", *NAMES)}
    assert len(set(found.values())) == 3
    model, _ = model_directory.load(folder / "base")
    with Engine(model, EngineConfig(n_slot=2)) as engine:
        for name in ("", *NAMES):
            if name:
                engine.load_adapter(name, read_adapter(folder / name, model, weights).factors)
            assistant = Assistant(engine, TOKENIZER, adapter=name)
            *_, finished = assistant.reply([Message("user", "abc")], sampling)
            assert finished.message.text == found[name or "base"]


def test_replies_with_different_adapters_are_generated_together(client: TestClient) -> None:
    names = ("base", *NAMES)
    alone = {name: text(ask(client, name)) for name in names}
    with ThreadPoolExecutor(12) as pool:
        asked = [name for _ in range(8) for name in names]
        together = list(pool.map(lambda name: text(ask(client, name)), asked))
    assert together == [alone[name] for name in asked]


def test_adapters_are_listed_as_models(client: TestClient) -> None:
    cards = {card["id"]: card for card in client.get("/v1/models").json()["data"]}
    assert set(cards) == {"base", *NAMES}
    assert {cards[name]["parent"] for name in NAMES} == {"base"}
    assert len({card["chatwright"]["adapter"] for card in cards.values()}) == 3
    prints = {ask(client, name)["system_fingerprint"] for name in cards}
    assert len(prints) == 3


def test_replies_are_repeated_from_their_receipts(
    client: TestClient, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "replies.jsonl"
    responses = [ask(client, name) for name in ("base", *NAMES)]
    file.write_text("".join(json.dumps(response) + "\n" for response in responses))
    receipts = read_receipts(file)
    right = {name: folder / name for name in NAMES}
    results = replay_replies(folder / "base", receipts, adapters=right)
    assert [(result.is_same, result.causes) for result in results] == [(True, ())] * 3
    # The other adapter under the same name is noticed.
    swapped = {name: folder / other for name, other in zip(NAMES, NAMES[::-1], strict=True)}
    results = replay_replies(folder / "base", receipts, adapters=swapped)
    assert [len(result.causes) for result in results] == [0, 1, 1]
    assert [result.is_same for result in results] == [True, False, False]
    with pytest.raises(InputError) as caught:
        replay_replies(folder / "base", receipts)
    assert caught.value.field == "adapter"


@pytest.mark.parametrize(
    ("name", "path", "param"),
    [
        ("stray", "stray", "adapter"),
        ("whole", "other", "adapter"),
        ("none", "missing", "model"),
        ("kind", "kind", "name"),
        ("base", "kind", "name"),
        ("a/b", "kind", "name"),
    ],
)
def test_what_does_not_fit_is_refused(
    client: TestClient, folder: Path, name: str, path: str, param: str
) -> None:
    body = {"name": name, "path": str(folder / path)}
    response = client.post("/v1/adapters", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_feedback_on_an_adapters_reply_names_the_adapter(
    client: TestClient, folder: Path, tmp_path: Path
) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    service.feedback = FeedbackCollector(tmp_path / "feedback.jsonl")
    for name in ("base", *NAMES):
        rating = {"kind": "thumb", "reply": ask(client, name)["id"], "is_up": True, "rater": "ann"}
        assert client.post("/v1/feedback", json=rating).status_code == 200
    service.feedback = None
    rows = [json.loads(line) for line in (tmp_path / "feedback.jsonl").read_text().splitlines()]
    cards = {card["id"]: card["chatwright"] for card in client.get("/v1/models").json()["data"]}
    expected = [cards["base"]["weights"], *(cards[name]["adapter"] for name in NAMES)]
    assert [row["reply"]["weights"] for row in rows] == expected
    assert len(set(expected)) == 3


def test_an_adapter_is_unloaded_and_loaded_again(client: TestClient, folder: Path) -> None:
    before = text(ask(client, "kind"))
    assert client.delete("/v1/adapters/kind").status_code == 200
    assert client.delete("/v1/adapters/kind").status_code == 400
    body = {"model": "kind", "messages": [{"role": "user", "content": "abc"}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 404
    body = {"name": "kind", "path": str(folder / "kind")}
    assert client.post("/v1/adapters", json=body).status_code == 200
    assert text(ask(client, "kind")) == before


def test_adapters_are_there_again_after_the_engine_was_killed(
    client: TestClient, process: EngineProcess
) -> None:
    before = [text(ask(client, name)) for name in ("base", *NAMES)]
    os.kill(process.process_id, signal.SIGKILL)
    service = client.app.state.service
    engine = service.engine.served.assistant.engine
    while process.n_restart == 0 or not engine.wait_until_open(1):
        pass
    assert [text(ask(client, name)) for name in ("base", *NAMES)] == before


def test_an_adapter_that_cannot_be_loaded_again_is_said_and_asks_for_a_remedy(
    folder: Path, tmp_path: Path
) -> None:
    """After a restart of the engine's process an adapter's directory is gone."""
    warnings: list[str] = []
    process = EngineProcess(warn=warnings.append)
    try:
        engine = RemoteEngine(process, folder / "base", MemoryLimits(), 4)
        app = make_app(None, "base")
        assistant = Assistant(engine, TOKENIZER, reports_waiting=True)
        app.state.service.publish(assistant, "base", "", engine.facts.identity)
        shutil.copytree(folder / "kind", tmp_path / "kind")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            body = {"name": "kind", "path": str(tmp_path / "kind")}
            assert client.post("/v1/adapters", json=body).status_code == 200
            [card] = client.get("/v1/adapters").json()["data"]
            assert (card["id"], card["state"], card["error"]) == ("kind", "loaded", None)
            (tmp_path / "kind").rename(tmp_path / "moved")
            os.kill(process.process_id, signal.SIGKILL)
            while process.n_restart == 0 or not engine.wait_until_open(1):
                pass
            engine.inspect({"what": "words", "expression": "a", "top": 1})  # answered in order
            assert any("kind" in warning for warning in warnings)
            assert client.get("/health").json() == {"status": "degraded"}
            [card] = client.get("/v1/adapters").json()["data"]
            assert card["state"] == "failed"
            assert card["error"]
            body = {"model": "kind", "messages": [{"role": "user", "content": "abc"}]}
            response = client.post("/v1/chat/completions", json=body)
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "adapter_not_loaded"
            (tmp_path / "moved").rename(tmp_path / "kind")
            assert client.delete("/v1/adapters/kind").status_code == 200
            body = {"name": "kind", "path": str(tmp_path / "kind")}
            assert client.post("/v1/adapters", json=body).status_code == 200
            assert client.get("/health").json() == {"status": "ok"}
            assert ask(client, "kind")
    finally:
        process.close()
