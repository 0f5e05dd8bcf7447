"""What is served: checks for supervisors, versions of the program and the model."""

import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from chatwright import __version__
from chatwright.checkpoint import registry
from chatwright.checkpoint.registry import Version
from chatwright.server.app import make_app
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.replies.engine_thread import Limits
from tests.server.fake_assistant import FakeAssistant

URL = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def client_of(assistant: FakeAssistant | None, limits: Limits | None = None) -> TestClient:
    return TestClient(make_app(assistant, "m", limits=limits), base_url="http://localhost")


def check(client: TestClient, path: str) -> tuple[int, str]:
    response = client.get(path)
    return response.status_code, response.json()["status"]


def test_a_server_without_a_model_is_alive_and_not_ready() -> None:
    with client_of(None) as client:
        assert check(client, "/livez") == (200, "ok")
        assert check(client, "/readyz") == (503, "building")
        report = client.get("/version").json()
        assert report["model"] is None
        assert report["promise"]["batch_invariant"] is None
        client.app.state.service.publish(FakeAssistant(), "m")  # type: ignore[attr-defined]
        assert check(client, "/readyz") == (200, "ok")


def test_a_full_queue_is_not_ready_and_a_dead_engine_not_alive() -> None:
    gate = threading.Event()
    limits = Limits(max_live=1, max_waiting=1)
    with client_of(FakeAssistant(before=lambda: gate.wait(30) and None), limits) as client:
        engine = client.app.state.service.engine  # type: ignore[attr-defined]
        askers = [
            threading.Thread(target=client.post, args=(URL,), kwargs={"json": ASK})
            for _ in range(2)
        ]
        for asker in askers:
            asker.start()
        while engine.n_open < 2:  # both requests are on their way
            pass
        assert check(client, "/readyz") == (503, "full")
        assert check(client, "/health") == (200, "ok")
        gate.set()
        for asker in askers:
            asker.join()
        assert engine.wait_until_idle(30)
        assert check(client, "/readyz") == (200, "ok")
        engine.drain()
        assert check(client, "/readyz") == (503, "stopping")
        assert check(client, "/livez") == (200, "ok")
        engine.close()
        assert check(client, "/livez") == (503, "dead")
        assert check(client, "/readyz") == (503, "dead")


@pytest.mark.parametrize(("variance", "promise"), [("", True), ("the kernels differ", False)])
def test_the_version_names_the_build_the_weights_and_the_promise(
    variance: str, promise: bool
) -> None:
    build = {"source": "b" * 64, "torch": "2.13.0"}
    identity = ModelIdentity(
        weights="a" * 64, created=7, version="v2", batch_dependence_reason=variance, build=build
    )
    with client_of(None) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        service.publish(FakeAssistant(), "m", "version v2", identity)
        report = client.get("/version").json()
        card = client.get("/v1/models/m").json()
    assert (report["product"], report["version"]) == ("chatwright", __version__)
    assert len(report["build"]["source"]) == 64
    assert report["model"] == {
        "id": "m",
        "weights": "a" * 64,
        "version": "v2",
        "number": 1,
        "description": "version v2",
    }
    assert report["promise"] == {"batch_invariant": promise, "reason": variance}
    assert (card["object"], card["created"], card["owned_by"]) == ("model", 7, "you")


def test_the_list_of_models_holds_the_versions_of_the_registry(tmp_path: Path) -> None:
    for number in (1, 2):
        version = Version(
            id=str(number) * 64, name=f"v{number}", path=f"m{number}", weights=str(number) * 64
        )
        registry.add(tmp_path, version)
    registry.promote(tmp_path, "v2", "better")
    with client_of(None) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        service.publish(FakeAssistant(), "m", "", ModelIdentity(version="v2", registry=tmp_path))
        [card] = client.get("/v1/models").json()["data"]
        assert card["chatwright"]["version"] == "v2"
        found = [(v["name"], v["state"]) for v in card["chatwright"]["versions"]]
        assert found == [("v1", "served before"), ("v2", "served")]
        (tmp_path / registry.REGISTRY_FILE).write_text("{}\n")  # damaged: the model still answers
        assert client.get("/v1/models").json()["data"][0]["chatwright"]["versions"] == []
