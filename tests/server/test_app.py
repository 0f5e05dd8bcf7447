"""The small routes, and running: a build that becomes a model, a port that is taken."""

import json
import math
import socket
import urllib.request

import pytest
from starlette.testclient import TestClient

from chatwright.server.app import HOST, make_app, open_port, serve, serve_beside
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


def test_the_page_is_served_and_names_its_types():
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://localhost") as client:
        types = {
            path: client.get(path).headers["content-type"].split(";")[0]
            for path in ("/", "/page.css", "/page.js", "/icon.svg")
        }
    assert types == {
        "/": "text/html",
        "/page.css": "text/css",
        "/page.js": "text/javascript",
        "/icon.svg": "image/svg+xml",
    }


def test_models_names_the_one_model():
    with TestClient(make_app(FakeAssistant(), "a/b"), base_url="http://localhost") as client:
        assert [card["id"] for card in client.get("/v1/models").json()["data"]] == ["a/b"]
        assert client.get("/v1/models/a/b").json()["id"] == "a/b"


def test_a_build_shows_itself_and_then_the_model_answers():
    now = [BUILDING]
    with TestClient(
        make_app(None, "m", status=lambda: now[0]), base_url="http://localhost"
    ) as client:
        assert client.get("/api/status").json() == {
            "state": "building",
            "stage": "Learning to read",
            "fraction": 0.25,
            "seconds_left": None,  # infinite: JSON has no word for it
            "message": "",
            "loss_curve": [[0, 7.5], [20, None]],
            "samples": [{"prompt": "hi", "reply": "h", "step": 20}],
            "can_chat": False,
            "model": "",
            "model_number": 0,
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


def test_models_come_and_go_during_a_build_and_every_reply_names_its_own():
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
            told = {"number": number, "description": description}
            assert (
                client.post("/v1/chat/completions", json=ASK).json()["chatwright"]["model"] == told
            )
            opening = client.post("/v1/chat/completions", json={**ASK, "stream": True}).text.split(
                "\n\n"
            )[0]
            assert json.loads(opening.removeprefix("data: "))["chatwright"]["model"] == told


def test_without_a_status_of_its_own_the_state_follows_the_model():
    with TestClient(make_app(None, "m"), base_url="http://localhost") as client:
        assert client.get("/api/status").json()["state"] == "building"
        client.app.state.service.publish(FakeAssistant(), "m")
        assert client.get("/api/status").json()["state"] == "ready"


def test_a_taken_port_is_named_and_a_free_one_offered():
    with open_port(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ValueError,
            match=rf"port {port} on 127\.0\.0\.1 cannot be used .* for example --port \d+",
        ):
            serve(FakeAssistant(), "m", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_not_a_port_is_named(port):
    with pytest.raises(ValueError, match=f"port {port} is not a port"):
        open_port(port)


def test_over_a_real_socket_on_this_machine_only():
    with serve_beside("m", 0, status=lambda: BUILDING) as (service, address):
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
        assert address.startswith(f"http://{HOST}:")
        assert HOST == "127.0.0.1"
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, int(address.rsplit(":", 1)[1]))) != 0, (
            "leaving the block stops the server"
        )
