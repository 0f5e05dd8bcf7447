"""All routes but chat completions, and the server during a build and on a port in use."""

import json
import math
import socket
import urllib.request

from starlette.testclient import TestClient

from chatwright.server.address import LOOPBACK
from chatwright.server.app import make_app
from chatwright.server.http_server import serve_in_thread
from chatwright.server.status import Sample, Status
from tests.server.fake_assistant import FakeAssistant

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
BUILDING = Status(
    state="building",
    stage="Learning to read",
    fraction=0.25,
    seconds_left=math.inf,
    loss_curve=((0, 7.5), (20, math.nan)),
    samples=(Sample(prompt="hi", reply="h", step=20),),
)


def test_the_page_is_served_with_its_media_types():
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        types = {
            path: client.get(path).headers["content-type"].split(";")[0]
            for path in ("/", "/page.css", "/page.js", "/icon.svg", "/licenses.txt")
        }
    assert types == {
        "/": "text/html",
        "/page.css": "text/css",
        "/page.js": "text/javascript",
        "/icon.svg": "image/svg+xml",
        "/licenses.txt": "text/plain",
    }


def test_a_model_that_is_published_later_has_the_name_of_the_application():
    app = make_app(None, "m")
    with TestClient(app, base_url="http://localhost") as client:
        app.state.service.publish(FakeAssistant(), app.state.service.model_name)
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["m"]


def test_models_lists_the_served_model():
    with TestClient(make_app(FakeAssistant(), "a/b"), base_url="http://localhost") as client:
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["a/b"]
        assert client.get("/v1/models/a/b").json()["id"] == "a/b"


def test_the_status_shows_a_build_and_then_the_model_replies():
    now = [BUILDING]
    with TestClient(
        make_app(None, "m", status=lambda: now[0]), base_url="http://localhost"
    ) as client:
        assert client.get("/api/status").json() == {
            "state": "building",
            "stage": "Learning to read",
            "fraction": 0.25,
            "seconds_left": None,  # infinite, which JSON cannot write
            "message": "",
            "loss_curve": [[0, 7.5], [20, None]],
            "samples": [{"prompt": "hi", "reply": "h", "step": 20}],
            "can_chat": False,
            "model": "",
            "model_number": 0,
            "views": [],
        }
        refused = client.post("/v1/chat/completions", json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_not_ready")
        assert "retry-after" in refused.headers
        assert (client.get("/health").status_code, client.get("/v1/models").json()["data"]) == (
            503,
            [],
        )

        client.app.state.service.publish(FakeAssistant(), "m")
        now[0] = Status(state="ready")
        assert client.get("/api/status").json()["state"] == "ready"
        assert client.get("/health").status_code == 200
        assert client.post("/v1/chat/completions", json=ASK).status_code == 200


def test_every_reply_names_its_model_while_models_change_during_a_build():
    with TestClient(
        make_app(None, "m", status=lambda: BUILDING), base_url="http://localhost"
    ) as client:
        for number, description in enumerate(("step 1 of 2", "step 2 of 2"), 1):
            client.app.state.service.publish(FakeAssistant(), "m", description)
            status = client.get("/api/status").json()
            assert (
                status["state"],
                status["can_chat"],
                status["model"],
                status["model_number"],
            ) == ("building", True, description, number)
            expected = {"number": number, "description": description}
            assert (
                client.post("/v1/chat/completions", json=ASK).json()["chatwright"]["model"]
                == expected
            )
            opening = client.post("/v1/chat/completions", json={**ASK, "stream": True}).text.split(
                "\n\n"
            )[0]
            assert json.loads(opening.removeprefix("data: "))["chatwright"]["model"] == expected


def test_without_a_build_the_state_is_ready_once_a_model_is_served():
    with TestClient(make_app(None, "m"), base_url="http://localhost") as client:
        assert client.get("/api/status").json()["state"] == "building"
        client.app.state.service.publish(FakeAssistant(), "m")
        assert client.get("/api/status").json()["state"] == "ready"


def test_the_server_listens_on_127_0_0_1_only_and_stops_when_its_context_ends():
    with serve_in_thread("m", 0, status=lambda: BUILDING) as (service, address):
        with urllib.request.urlopen(address + "/api/status") as response:
            assert json.load(response)["state"] == "building"
        service.publish(FakeAssistant(), "m")
        request = urllib.request.Request(
            address + "/v1/chat/completions",
            json.dumps(ASK).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["choices"][0]["finish_reason"] == "stop"
        assert address.startswith(f"http://{LOOPBACK}:")
        assert LOOPBACK == "127.0.0.1"
    with socket.socket() as probe:
        assert probe.connect_ex((LOOPBACK, int(address.rsplit(":", 1)[1]))) != 0, (
            "the server still listens"
        )
