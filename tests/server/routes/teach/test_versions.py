"""/api/versions and /api/feedback/summary: lineage, decisions with reasons, and feedback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from chatwright.checkpoint import registry
from chatwright.data.feedback_log import FeedbackLog
from chatwright.data.snapshot import read_snapshot
from chatwright.pipeline import model_versions
from chatwright.server.app import make_app
from chatwright.server.feedback.canary import Canary
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.teach.improvement_loop import ImprovementLoop
from chatwright.store.written_snapshots import snapshots_with
from tests.cli.test_models import save_model
from tests.data.feedback_examples import ranking, thumb
from tests.server.fake_assistant import FakeAssistant
from tests.server.routes.store.store_client import store_client
from tests.server.routes.store.test_role_matrix import make_things


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for number in (1, 2, 3):
        save_model(folder / f"{number}", number)
    return folder


@pytest.fixture
def folder(tmp_path: Path, models: Path) -> Path:
    """v1 is served, v2 was refused, and nothing was decided about v3."""
    for number in (1, 2, 3):
        first = registry.read(tmp_path).versions[0].id if number > 1 else ""
        version = model_versions.describe(
            tmp_path, models / f"{number}", parent=first, method="dpo" if first else ""
        )
        registry.add(tmp_path, version)
    registry.refuse(tmp_path, "v2", "it lost", {"win_rate": 0.4, "win_rate_low": float("0.3")})
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    app = make_app(FakeAssistant(), "m")
    log = folder / "log.jsonl"
    app.state.service.feedback = FeedbackCollector(log, Canary("new", "old", 0.1))
    app.state.service.teach = ImprovementLoop(folder, log, JobRunner())
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def states(client: TestClient) -> dict[str, str]:
    return {one["name"]: one["state"] for one in client.get("/api/versions").json()["versions"]}


def test_versions_are_listed_with_lineage_and_metrics(client: TestClient) -> None:
    found = client.get("/api/versions").json()
    assert [(one["name"], one["parent"]) for one in found["versions"]] == [
        ("v1", None),
        ("v2", "v1"),
        ("v3", "v1"),
    ]
    assert found["versions"][1]["events"][0]["metrics"]["win_rate"] == 0.4
    assert (found["served"], found["can_roll_back_to"]) == ("v1", [])
    assert found["canary"]["canary"] == "open"


def test_a_canary_is_started_and_ended(client: TestClient) -> None:
    service = client.app.state.service  # type: ignore[attr-defined]
    path = "/api/versions/v3/canary"
    assert client.post(path, json={}).json()["error"]["code"] == "feedback_not_kept"
    weights = {
        one["name"]: one["weights"] for one in client.get("/api/versions").json()["versions"]
    }

    def start(name: str, share: float) -> None:
        identity = ModelIdentity(weights=weights[name])
        service.publish_candidate(FakeAssistant(), name, identity)
        service.feedback.start_canary(
            Canary(weights[name], weights["v1"], share), lambda canary: None
        )

    service.teach.start_canary = start
    assert client.post(path, json={}).json()["error"]["code"] == "canary_running"
    ended = client.post("/api/canary/end", json={})
    assert (ended.status_code, ended.json()["canary"]) == (200, None)
    assert client.post("/api/canary/end", json={}).status_code == 409
    assert client.post(path, json={"share": 0.95}).status_code == 400
    found = client.post(path, json={"share": 0.5}).json()["canary"]
    assert (found["version"], found["share"], found["canary"]) == ("v3", 0.5, "open")
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    names = [
        client.post("/v1/chat/completions", json=body).json()["chatwright"]["model"]["description"]
        for _ in range(4)
    ]
    assert sorted(names) == ["", "", "v3", "v3"]
    service.publish(FakeAssistant(), "m", "v2", ModelIdentity(weights=weights["v2"]))
    assert client.get("/api/versions").json()["canary"] is None  # other weights are served


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_version_without_a_won_comparison_needs_a_reason_which_is_kept(
    client: TestClient, folder: Path, version: str
) -> None:
    path = f"/api/versions/{version}/promote"
    for body in ({}, {"reason": ""}, {"reason": "  "}):
        assert client.post(path, json=body).status_code == 400
    assert states(client)["v1"] == "served"
    response = client.post(path, json={"reason": "our users asked for it"})
    assert (response.status_code, response.json()["served"]) == (200, version)
    event = registry.read(folder).events[-1]
    assert (event.reason, event.is_forced) == ("our users asked for it", version == "v2")
    assert client.post(path, json={"reason": "again"}).status_code == 400  # served already
    back = client.post("/api/versions/v1/rollback", json={"reason": "it was worse"})
    assert back.json()["served"] == "v1"
    assert registry.read(folder).events[-1].reason == "it was worse"
    never = client.post("/api/versions/v3/rollback", json={"reason": "x"})
    assert never.status_code == 400


def test_the_registry_names_the_administrator_who_decided(folder: Path, tmp_path: Path) -> None:
    with store_client(tmp_path / "store.db") as users:
        users.client.app.state.service.teach = ImprovementLoop(folder, None, JobRunner())
        for name, role in (("olga", "admin"), ("mia", "member")):
            users.add_user(name, role)
        path, body = "/api/versions/v2/promote", {"reason": "x"}
        assert users.send("POST", path, body, as_="mia").status_code == 403
        assert users.send("POST", path, body, as_="olga").status_code == 200
    event = registry.read(folder).events[-1]
    assert (event.kind, event.by) == ("promoted", "olga")


def test_ratings_in_the_store_count_too_and_their_snapshot_is_recorded(
    folder: Path, tmp_path: Path
) -> None:
    with store_client(tmp_path / "store.db") as users:
        user, store = users.add_user("mia"), users.store
        users.add_user("olga", "admin")
        loop = ImprovementLoop(folder, None, JobRunner(), store=store)
        users.client.app.state.service.teach = loop  # type: ignore[attr-defined]
        path = "/api/feedback/summary"
        assert users.send("GET", path, as_="olga").json()["report"]["n"] == 0
        things = make_things(store, user)  # one thumb
        assert things.feedback
        found = users.send("GET", path, as_="olga").json()
        assert (found["report"]["n"], found["thumbs_up"]) == (1, 1)
        snapshot = loop._snapshot(loop._feedback().feedback())
        with store.database.read() as connection:
            written = snapshots_with(connection, user)
        assert [each.sha256 for each in written] == [snapshot.sha256]


def test_an_unknown_version_is_an_error(client: TestClient) -> None:
    response = client.post("/api/versions/v9/promote", json={"reason": "x"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "version")


def test_the_summary_counts_what_the_log_holds(client: TestClient, folder: Path) -> None:
    empty = client.get("/api/feedback/summary").json()
    assert (empty["report"]["n"], empty["method"]) == (0, "")
    assert empty["obstacle"]
    log = FeedbackLog(folder / "log.jsonl")
    for number in range(12):
        log.append(ranking("ann", f"q{number}", ("good", "bad"), (1, 2)))
        log.append(ranking("bob", f"q{number}", ("good", "bad"), (1, 2)))
    log.append(thumb("ann", "q", "good", True))
    found = client.get("/api/feedback/summary").json()
    assert (found["report"]["n"], found["pairs"], found["thumbs_up"]) == (25, 24, 1)
    assert (found["method"], found["obstacle"]) == ("dpo", "")
    assert found["report"]["two_raters_agree"]["value"] == 1.0
    assert [one["rater"] for one in found["report"]["raters"]] == ["ann", "bob"]
    assert found["n_other_models"] == 25  # the examples' replies are by no version


def test_the_same_feedback_gives_the_same_snapshot(client: TestClient, folder: Path) -> None:
    loop: ImprovementLoop = client.app.state.service.teach  # type: ignore[attr-defined]
    log = FeedbackLog(folder / "log.jsonl")
    items = [ranking("ann", f"q{number}", ("good", "bad"), (1, 2)) for number in range(3)]
    log.append(items[0])
    first = loop._snapshot(items[:1])
    assert loop._snapshot(items[:1]).path == first.path
    second = loop._snapshot(items)
    assert (second.path.name, second.previous) == ("0002.jsonl", first.sha256)
    assert len(read_snapshot(second.path).feedback) == 3


def test_nothing_is_improved_without_feedback(client: TestClient) -> None:
    response = client.post("/api/improve", json={})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "no_feedback")
    assert client.get("/api/improve").json() == {"job": None, "decision": None}
    assert client.post("/api/improve/stop", json={}).status_code == 409
    assert client.get("/api/improve/report").status_code == 404
    assert client.post("/api/improve", json={"method": "magic"}).status_code == 400
