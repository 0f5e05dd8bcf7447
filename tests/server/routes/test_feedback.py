"""POST /v1/feedback: it is on disk as the loop reads it, and thumbs decide about a canary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.conversation import Message
from chatwright.data.feedback_log import read_log
from chatwright.data.preferences import Correction, Ranking, Thumb
from chatwright.data.snapshot import write_snapshot
from chatwright.server.app import make_app
from chatwright.server.feedback.canary import Canary
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.model_identity import ModelIdentity
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import StoreClient, store_client

URL = "/v1/feedback"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "feedback.jsonl"


@pytest.fixture
def client(log: Path) -> Iterator[TestClient]:
    app = make_app(None, "m")
    service = app.state.service
    service.publish(FakeAssistant(), "m", "", ModelIdentity(weights="a" * 64))
    service.feedback = FeedbackCollector(log)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def reply(client: TestClient, text: str = "hi", **options: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **options}
    response = client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_a_thumb_a_correction_and_a_ranking_are_written_as_the_loop_reads_them(
    client: TestClient, log: Path, tmp_path: Path
) -> None:
    answer = reply(client, n=2, seed=3)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    names = [{"reply": answer["id"], "index": index} for index in (0, 1)]
    bodies = [
        {"kind": "thumb", **names[1], "is_up": False, "reason": "short", "rater": "ann"},
        {"kind": "correction", **names[0], "better": "hello"},
        {"kind": "ranking", "replies": names, "ranks": [2, 1], "rater": "ann"},
    ]
    for body in bodies:
        response = client.post(URL, json=body)
        assert (response.status_code, response.json()["stored"]) == (200, True)
    thumb, correction, ranking = read_log(log).feedback
    assert isinstance(thumb, Thumb)
    assert (thumb.reply.message.text, thumb.is_up, thumb.rater) == (texts[1], False, "ann")
    assert (thumb.reply.weights, thumb.prompt) == ("a" * 64, (Message("user", "hi"),))
    assert isinstance(correction, Correction)
    assert (correction.reply.message.text, correction.better.text) == (texts[0], "hello")
    assert isinstance(ranking, Ranking)
    assert [one.message.text for one in ranking.replies] == texts
    assert ranking.pairs() == [(1, 0)]
    snapshot = write_snapshot(tmp_path / "snapshot.jsonl", read_log(log).feedback)
    assert len(snapshot.feedback) == 3


def test_a_streamed_reply_can_be_rated(client: TestClient, log: Path) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    text = client.post("/v1/chat/completions", json=body).text
    reply_id = text.split('"id": "')[1].split('"')[0]
    body = {"kind": "thumb", "reply": reply_id, "is_up": True}
    assert client.post(URL, json=body).status_code == 200
    assert len(read_log(log).feedback) == 1


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"kind": "thumb", "reply": "chatcmpl-none", "is_up": True}, 404, "reply"),
        ({"kind": "thumb", "is_up": True}, 400, "reply"),
        ({"kind": "shrug", "reply": "x"}, 400, "kind"),
        ({"kind": "ranking", "replies": [{"reply": "x"}], "ranks": [1]}, 400, "replies"),
    ],
)
def test_wrong_feedback_is_refused_and_nothing_is_written(
    client: TestClient, log: Path, body: dict[str, Any], status: int, param: str
) -> None:
    response = client.post(URL, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"] or "kind") == (status, param)
    assert not log.exists()


def test_replies_to_different_prompts_cannot_be_ranked(client: TestClient, log: Path) -> None:
    names = [{"reply": reply(client, text)["id"]} for text in ("hi", "ho")]
    body = {"kind": "ranking", "replies": names, "ranks": [1, 2]}
    assert client.post(URL, json=body).status_code == 400
    assert not log.exists()


def test_without_a_log_no_feedback_is_taken() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://127.0.0.1") as client:
        body = {"kind": "thumb", "reply": reply(client)["id"], "is_up": True}
        assert client.post(URL, json=body).status_code == 404


@pytest.mark.parametrize(("is_candidate_good", "verdict"), [(False, "refused"), (True, "open")])
def test_thumbs_decide_about_a_canary(log: Path, is_candidate_good: bool, verdict: str) -> None:
    app = make_app(None, "m")
    service = app.state.service
    service.publish(FakeAssistant(), "m", "v1", ModelIdentity(weights="old"))
    service.publish_candidate(FakeAssistant(), "v2", ModelIdentity(weights="new"))
    decided: list[Canary] = []

    def end(canary: Canary) -> None:
        decided.append(canary)
        service.candidate = None

    service.feedback = FeedbackCollector(log, Canary("new", "old", 0.5), end)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        by: dict[str, int] = {}
        for _ in range(80):
            answer = reply(client)
            name = answer["chatwright"]["model"]["description"]
            by[name] = by.get(name, 0) + 1
            is_up = is_candidate_good or name == "v1"
            body = {"kind": "thumb", "reply": answer["id"], "is_up": is_up}
            assert client.post(URL, json=body).json()["canary"] in ("open", verdict)
        assert service.feedback.canary.state == verdict
        assert len(decided) == (not is_candidate_good)
        assert by["v2"] == 40 if is_candidate_good else by["v2"] < 40
    weights = [one.reply.weights for one in read_log(log).feedback if isinstance(one, Thumb)]
    assert weights.count("new") == by["v2"]


@pytest.mark.parametrize(("is_candidate_good", "state"), [(False, "refused"), (True, "open")])
def test_thumbs_in_the_store_decide_about_a_canary(
    log: Path, tmp_path: Path, is_candidate_good: bool, state: str
) -> None:
    """Talk and rate as the page does; each thumb is given, changed, taken back and given again."""
    decided: list[Canary] = []
    with store_client(tmp_path / "store.db") as served:
        served.add_user("ann")
        service = served.client.app.state.service
        service.publish(FakeAssistant(), "m", "v1", ModelIdentity(weights="old"))
        service.publish_candidate(FakeAssistant(), "v2", ModelIdentity(weights="new"))
        service.feedback = FeedbackCollector(log, Canary("new", "old", 0.5), decided.append)
        given: dict[str, int] = {"old": 0, "new": 0}
        for _ in range(80):
            answer, weights = _stored_answer(served)
            given[weights] += 1
            is_up = is_candidate_good or weights == "old"
            opinion = {"kind": "thumb", "message": answer, "is_up": is_up}
            for body in (opinion, {**opinion, "is_up": not is_up}):
                stored = served.send("POST", "/api/feedback", body, as_="ann")
                assert stored.status_code == 201
            path = f"/api/feedback/{stored.json()['id']}"
            assert served.send("DELETE", path, as_="ann").status_code == 204
            assert served.send("POST", "/api/feedback", opinion, as_="ann").status_code == 201
            if decided:
                break
        assert service.feedback.canary.state == state
        counted = {name: votes.n for name, votes in service.feedback.canary.votes.items()}
        assert counted == given
        assert len(decided) == (not is_candidate_good)


def _stored_answer(served: StoreClient) -> tuple[str, str]:
    """Ask as the page does; return the id of the stored answer and the weights that wrote it."""
    made = served.send("POST", "/api/conversations", {}, as_="ann").json()["id"]
    body = {"role": "user", "parts": [{"type": "text", "text": "hi"}], "answer": {}}
    turn = served.send("POST", f"/api/conversations/{made}/messages", body, as_="ann").json()
    answer: str = turn["answer"]["id"]
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x_chatwright_answer": answer}
    response = served.send("POST", "/v1/chat/completions", body, as_="ann", **headers)
    assert response.status_code == 200
    [ann] = served.store.users.list()
    return answer, served.store.messages.get(ann.id, answer).origin.weights
