"""Take thirty scripted learners through the lessons at once, each with a small model of its own.

    python benchmarks/learners.py MODEL [--learners 30] [--steps 200] [--layers 2]

A real server with accounts serves MODEL (`chatwright serve --accounts --lessons`). Each learner has
the role learner and a session. It logs in, asks for the training of its own model, and takes all
lessons as the page does: it answers the question, runs the check on the served model, and answers
again. When its own model is ready, it runs every check on that, too. It looks at its training every
two seconds. Reading and thinking take no time here, so all learners are as fast as they can be.

Targets on two cores: the slowest learner in at most 45 minutes, at most 12 GB, at most two
trainings at once, no failed request. Refusals (429, 503) are tried again after Retry-After.
Memory is the sum of the resident memory of the server and all its processes, so pages that they
share count several times.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from chatwright.store.store import Store

PASSWORD = "correct horse battery"
ADMIN = "teacher"
OWN = "my-model"
TEXT = "The cat sat on the"
LOOK_SECONDS = 2.0
MAX_SECONDS = 7200


def main() -> None:
    """Print what the class measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--learners", type=int, default=30)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run_class(
            given.model, Path(folder), given.learners, steps=given.steps, layers=given.layers
        )
    print(json.dumps(report, indent=1))


def run_class(
    model: Path, folder: Path, n_learner: int, *, steps: int = 200, layers: int = 2
) -> dict[str, Any]:
    """Take learners through the lessons; return the figures.

    Args:
        model: What the server serves.
        folder: An empty folder for the store and the learners' models.
        n_learner: Number of learners.
        steps: Optimizer steps of each learner's model.
        layers: Layers of each learner's model.
    """
    names = [f"learner {number}" for number in range(n_learner)]
    with Store(folder / "store.db") as store:
        store.users.add(ADMIN, "admin", PASSWORD)
        for name in names:
            store.users.add(name, "learner", PASSWORD)
    with running_server(model, folder) as (address, process), watched(process) as usage:
        learners = [Learner(address, name, steps, layers) for name in names]
        threads = [threading.Thread(target=learner.run) for learner in learners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with Client(address, ADMIN) as admin:
            effect = admin.get("/api/lessons/effect")
            models = admin.get("/api/lessons/models")["models"]
    return summary(learners, usage, effect, models)


def summary(
    learners: list["Learner"], usage: "Usage", effect: dict[str, Any], models: list[Any]
) -> dict[str, Any]:
    """Return the figures of a class."""
    minutes = sorted(learner.seconds / 60 for learner in learners)
    refused: Counter[str] = sum((learner.refused for learner in learners), Counter())
    return {
        "learners": len(learners),
        "finished": sum(not learner.problem for learner in learners),
        "problems": [learner.problem for learner in learners if learner.problem],
        "minutes": {"median": minutes[len(minutes) // 2], "slowest": minutes[-1]},
        "minutes_of_lessons_on_the_served_model": max(one.served_seconds for one in learners) / 60,
        "requests": sum(learner.n_request for learner in learners),
        "refused_and_tried_again": dict(refused),
        "slowest_request_seconds": max(learner.slowest for learner in learners),
        "most_trainings_at_once": usage.most_trainings,
        "peak_memory_gb": usage.peak_bytes / 1e9,
        "largest_disk_of_a_learner_mb": max(one["disk_bytes"] for one in models) / 1e6,
        "own_models": sum(one["has_model"] for one in models),
        "class": [
            {name: lesson.get(name) for name in ("lesson", "n", "right_before", "right_after")}
            for lesson in effect["lessons"]
        ],
    }


@dataclass
class Usage:
    """What the server and its processes took."""

    peak_bytes: int = 0
    most_trainings: int = 0

    def look(self, process: psutil.Process) -> None:
        """Add up the memory, and count the trainings."""
        n_byte = n_training = 0
        for one in (process, *process.children(recursive=True)):
            try:
                n_byte += one.memory_info().rss
                n_training += is_training(one.cmdline())
            except psutil.Error:  # it has just ended
                continue
        self.peak_bytes = max(self.peak_bytes, n_byte)
        self.most_trainings = max(self.most_trainings, n_training)


def is_training(command: list[str]) -> bool:
    """Whether this is the command that trains a learner's model."""
    return command[1:5] == ["-m", "chatwright", "run", "lesson"]


@contextmanager
def watched(process: psutil.Process) -> Iterator[Usage]:
    """Look at a process and its children twice a second."""
    usage, is_over = Usage(), threading.Event()

    def look() -> None:
        while not is_over.wait(0.5):
            usage.look(process)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield usage
    finally:
        is_over.set()
        thread.join()


@contextmanager
def running_server(model: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a model to learners; yield the address and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "chatwright", "serve", str(model.resolve())]
    command += ["--port", str(port), "--accounts", "--store", str(folder / "store.db")]
    command += ["--lessons", str(folder / "lessons")]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=dict(os.environ))
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(address, process, log)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(120)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers; RuntimeError if it ends before."""
    while process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the server ended: {log.read_text(errors='replace')[-2000:]}")


class Client:
    """One user's session, which tries refused requests again."""

    def __init__(self, address: str, name: str) -> None:
        """Log in."""
        self.http = httpx.Client(base_url=address, timeout=600)
        self.refused: Counter[str] = Counter()
        self.n_request = 0
        self.slowest = 0.0
        self.send("POST", "/api/session", {"name": name, "password": PASSWORD})

    def __enter__(self) -> "Client":
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.http.close()

    def get(self, path: str) -> Any:
        """Return the body of a response."""
        return self.send("GET", path).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the body of a response."""
        return self.send("POST", path, body).json()

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Return the response; RuntimeError for an error that a repetition does not mend."""
        while True:
            began = time.monotonic()
            response = self.http.request(method, path, json=body)
            self.n_request += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            if response.status_code not in (429, 503):
                break
            self.refused[f"{response.status_code} {path}"] += 1
            time.sleep(float(response.headers["retry-after"]))
        if response.status_code >= 400:
            raise RefusedError(method, path, response)
        return response


class RefusedError(RuntimeError):
    """A response that says that the request was wrong."""

    def __init__(self, method: str, path: str, response: httpx.Response) -> None:
        """Keep the status."""
        super().__init__(f"{method} {path}: {response.status_code} {response.text[:300]}")
        self.status = response.status_code


@dataclass
class Learner:
    """One learner, from log-in to the last check."""

    address: str
    name: str
    steps: int
    layers: int
    seconds: float = 0.0
    served_seconds: float = 0.0
    problem: str = ""
    n_request: int = 0
    slowest: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Take all lessons."""
        began = time.monotonic()
        try:
            with Client(self.address, self.name) as client:
                self._learn(client, began)
                self.n_request, self.slowest = client.n_request, client.slowest
                self.refused = client.refused
        except (RuntimeError, httpx.HTTPError, KeyError, TimeoutError) as error:
            self.problem = f"{self.name}: {type(error).__name__}: {error}"
        self.seconds = time.monotonic() - began

    def _learn(self, client: Client, began: float) -> None:
        draws = random.Random(self.name)
        number = int(self.name.split()[-1])
        lessons = client.get("/lessons/en.json")
        (served,) = [card["id"] for card in client.get("/v1/models")["data"]]
        chosen = {"layers": self.layers, "steps": self.steps, "seed": number + 1}
        client.post("/api/lessons/model", chosen)
        for lesson in lessons:
            self._take(client, lesson, served, draws)
        self.served_seconds = time.monotonic() - began
        while not (state := client.get("/api/lessons/model"))["has_model"]:
            if state["job"] and state["job"]["state"] in ("failed", "stopped"):
                raise RuntimeError(state["job"]["error"])
            if time.monotonic() - began > MAX_SECONDS:
                raise TimeoutError("the training did not end")
            time.sleep(LOOK_SECONDS)
        for lesson in lessons:
            check(client, lesson["id"], OWN)

    def _take(self, client: Client, lesson: dict[str, Any], model: str, draws: Any) -> None:
        """Answer, run the check on a model, and answer again."""
        right, n_option = lesson["question"]["answer"], len(lesson["question"]["options"])
        before = draws.randrange(n_option)
        path = f"/api/lessons/answers/{lesson['id']}"
        client.send("PUT", path, {"before": before})
        check(client, lesson["id"], model)
        after = right if draws.random() < 0.8 else before
        client.send("PUT", path, {"before": before, "after": after, "checked": True})


def check(client: Client, lesson: str, model: str) -> None:
    """Send the requests of a lesson's check, as web/src/lessons/checks.ts does."""

    def ids_of(text: str) -> list[int]:
        found: list[int] = client.post(
            "/tokenize", {"model": model, "prompt": text, "return_token_strs": True}
        )["tokens"]
        return found

    def inspect(ids: list[int], what: str, **question: Any) -> Any:
        return client.post(
            "/api/inspect", {"model": model, "token_ids": ids, "what": what, **question}
        )

    def reply(texts: list[str], **options: Any) -> Any:
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
        body = {"model": model, "messages": messages, "receipt": True, **options}
        return client.post("/v1/chat/completions", body)

    match lesson:
        case "tokens":
            ids_of("The unbelievable cat sat on the mat.")
        case "embeddings":
            try:
                client.post(
                    "/api/words", {"model": model, "expression": ["king", "-", "man", "+", "woman"]}
                )
            except RefusedError as error:  # not single tokens of this model: take the task's advice
                if error.status != 400:
                    raise
                client.post("/api/words", {"model": model, "expression": ["a"]})
        case "positions":
            for text in ("the dog sees the cat", "the cat sees the dog"):
                inspect(ids_of(text), "next", position=-1, top=6)
        case "attention" | "masks":
            ids = ids_of(TEXT)
            inspect(ids, "tokens")
            inspect(ids, "attention", layer=0, head=0, first=0, rows=len(ids))
        case "heads":
            ids = ids_of(TEXT)
            inspect(ids, "next", position=-1, top=1000, heads_off=[[0, 0]])
            inspect(ids, "next", position=-1, top=8)
        case "block":
            inspect(ids_of(TEXT), "lens", position=-1, top=3)
        case "loss":
            for text in ("Hello! How are you?", "you are? How! Hello"):
                inspect(ids_of(text), "tokens")
        case "sampling":
            settings = {"temperature": 0.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
            inspect(ids_of(TEXT), "next", position=-1, top=10, sampling=settings)
        case "context":
            first = reply(["Hello! How are you?"], max_tokens=24, temperature=0)
            text = first["choices"][0]["message"]["content"] or "-"
            second = ["Hello! How are you?", text, "What can you do?"]
            reply(second, max_tokens=24, temperature=0)
        case "ranking":
            for seed in (1, 2):
                found = reply(["What can you do?"], max_tokens=60, temperature=1.2, seed=seed)
                request = found["chatwright"]["receipts"][0]["requests"][-1]
                inspect([*request["request"]["token_ids"], *request["token_ids"]], "tokens")
        case "reward" | "rl":
            pass  # computed in the page
        case _:
            raise KeyError(lesson)


if __name__ == "__main__":
    main()
