"""/api/runs: what is listed, what an id may name, and a recipe started, stopped and resumed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from chatwright.server.app import make_app
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.training_runs.training_runs import TrainingRuns
from tests.server.fake_assistant import FakeAssistant
from tests.server.training_runs.run_files import write_run

RECIPE = """
about = "a small model of a few lines"
stages = ["tokenizer", "pretrain"]
[tokenizer]
data = "{here}/lines.txt"
vocab_size = 280
[pretrain]
data = "{here}/lines.txt"
validation_share = 0.2
sample_prompts = ["the"]
sample_tokens = 4
[pretrain.model]
size = "nano"
n_layer = 1
d_model = 32
d_ff = 64
context_length = 32
[pretrain.loop]
steps = STEPS
log_every = 1
evaluate_every = 5
precision = "float32"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs/starter/sft", 30, is_finished=True)
    (tmp_path / "runs/starter/sft/report.html").write_text("<p>report")
    return tmp_path / "runs"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    app = make_app(FakeAssistant(), "m")
    jobs = JobRunner()
    app.state.service.runs = TrainingRuns(folder, jobs)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client
    jobs.close()


def write_recipe(folder: Path, steps: int) -> None:
    (folder / "lines.txt").write_text("the cat sat on the mat and the dog ran away\n" * 60)
    (folder / "small.toml").write_text(RECIPE.replace("STEPS", str(steps)))


def test_runs_and_recipes_are_listed(client: TestClient, folder: Path) -> None:
    found = client.get("/api/runs").json()
    assert [(run["id"], run["state"], run["recipe"]) for run in found["runs"]] == [
        ("starter/sft", "finished", "")
    ]
    recipes = {one["name"]: one for one in found["recipes"]}
    assert recipes["starter"]["stages"] == ["world", "tokenizer", "pretrain", "sft"]
    assert "shakespeare" not in recipes  # it needs a file
    assert "loop" not in recipes  # it needs a model
    assert found["started"] == []


def test_a_run_is_read_with_curves_and_its_report(client: TestClient) -> None:
    run = client.get("/api/runs/starter/sft").json()
    assert run["curves"]["loss"][0] == [1, 4.99]
    report = client.get("/api/runs/starter/sft/report")
    assert report.text == "<p>report"
    assert report.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "id", ["starter", "..", "../secret", "starter/%2e%2e", "/etc", "starter%2F..%2F..", "x" * 3000]
)
def test_an_id_names_listed_runs_only(client: TestClient, folder: Path, id: str) -> None:
    write_run(folder.parent / "secret", 1)
    for rest in ("", "/report"):
        assert client.get(f"/api/runs/{id}{rest}").status_code in (404, 405)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/runs", {"recipe": "nothing"}, 404, "not_found"),
        ("/api/runs", {"recipe": "../recipes/starter.toml"}, 404, "not_found"),
        ("/api/runs", {}, 400, "missing_field"),
        ("/api/runs/starter/stop", {}, 404, "not_found"),
        ("/api/runs/starter/resume", {}, 404, "not_found"),
    ],
)
def test_wrong_requests_start_nothing(
    client: TestClient, folder: Path, path: str, body: Any, status: int, code: str
) -> None:
    response = client.post(path, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert client.get("/api/runs").json()["started"] == []


def test_a_server_without_runs_says_so() -> None:
    with TestClient(make_app(FakeAssistant(), "m"), base_url="http://127.0.0.1") as client:
        response = client.get("/api/runs")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "no_runs")


@pytest.mark.ci
def test_a_recipe_runs_stops_and_resumes_to_its_end(client: TestClient, folder: Path) -> None:
    write_recipe(folder, 100_000)
    answer = client.post("/api/runs", json={"recipe": "small"})
    assert answer.status_code == 201
    assert client.post("/api/runs", json={"recipe": "starter"}).status_code == 409
    runs: TrainingRuns = client.app.state.service.runs  # type: ignore[attr-defined]
    job = runs._jobs.get("small")
    assert job is not None
    log = folder / "small/pretrain/metrics.jsonl"
    while job.state == "running" and not (log.exists() and '"step": 3' in log.read_text()):
        job.wait(0.2)
    running = client.get("/api/runs/small/pretrain").json()
    assert (running["state"], running["stage"], running["recipe"]) == (
        "running",
        "pretrain",
        "small",
    )
    assert client.post("/api/runs/small/stop", json={}).status_code == 200
    assert job.wait(60) == "stopped"
    stopped = client.get("/api/runs/small/pretrain").json()
    assert (stopped["state"], stopped["step"] > 0) == ("stopped", True)
    assert client.post("/api/runs/small/stop", json={}).status_code == 409
    assert client.post("/api/runs/small/resume", json={}).status_code == 200
    resumed = runs._jobs.get("small")
    assert resumed is not None
    assert resumed is not job
    while resumed.state == "running" and not resumed.to_json()["progress"]:
        resumed.wait(0.2)
    # It continues behind the last saved step.
    assert resumed.to_json()["progress"]["step"] >= stopped["step"]
    client.post("/api/runs/small/stop", json={})
    assert resumed.wait(60) == "stopped"
