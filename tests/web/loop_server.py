"""A server with versions, feedback and runs, for tests of the Teach and Runs views."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatwright.checkpoint import registry
from chatwright.data.feedback_log import FeedbackLog
from chatwright.pipeline import model_versions
from chatwright.server.feedback.canary import Canary
from chatwright.server.feedback.collector import FeedbackCollector
from chatwright.server.http_server import serve_in_thread
from chatwright.server.jobs.job_runner import JobRunner
from chatwright.server.opening_status import OpeningStatus
from chatwright.server.served_versions import follow_versions
from chatwright.server.service import Service
from chatwright.server.teach.improvement_loop import ImprovementLoop
from chatwright.server.training_runs.training_runs import TrainingRuns
from tests.cli.test_models import save_model
from tests.data.feedback_examples import ranking, thumb
from tests.server.training_runs.run_files import mark_as_running, write_run
from tests.web.served_models import EchoAssistant

SKILLS = {"greeting": {"before": 0.7, "after": 0.9, "p_value": 0.01}}


def write_versions(folder: Path) -> None:
    """Write four versions: v2 was promoted, v3 refused, and v4 comes from v3."""
    for number, parent in ((1, ""), (2, "v1"), (3, "v2"), (4, "v3")):
        save_model(folder / f"improve/{number}/model", number)
        lineage = {}
        if parent:
            lineage = {"parent": registry.read(folder).version(parent).id, "method": "dpo"}
        model = folder / f"improve/{number}/model"
        registry.add(folder, model_versions.describe(folder, model, **lineage))
    won = {"win_rate": 0.61, "win_rate_low": 0.55, "win_rate_high": 0.66, "skills": SKILLS}
    registry.promote(folder, "v2", "the win rate's interval is above 50 %", won)
    lost = {"win_rate": 0.41, "win_rate_low": 0.35, "win_rate_high": 0.47}
    registry.refuse(folder, "v3", "the win rate's interval is below 50 %", lost)


def write_feedback(log: Path) -> None:
    """Write rankings of two raters who mostly agree, and thumbs."""
    file = FeedbackLog(log)
    for number in range(14):
        file.append(ranking("ann", f"question {number}", ("good", "bad"), (1, 2)))
        order = (2, 1) if number == 3 else (1, 2)
        file.append(ranking("bob", f"question {number}", ("good", "bad"), order))
    file.append(thumb("ann", "another question", "good", True))


class LoopServer:
    """A server that follows the registry; each version repeats the question after its name."""

    def __init__(
        self, service: Service, versions: Path, address: str, first: EchoAssistant
    ) -> None:
        self.service = service
        self.versions = versions
        self.address = address
        self.assistants = [first]


@contextmanager
def loop_server(folder: Path) -> Iterator[LoopServer]:
    """Yield a server with versions, feedback and runs."""
    versions, runs, log = folder / "versions", folder / "runs", folder / "log.jsonl"
    write_versions(versions)
    write_feedback(log)
    write_run(runs / "starter/pretrain", 60, is_finished=True)
    mark_as_running(write_run(runs / "starter/sft", 43))
    write_run(runs / "other", 20)
    status = OpeningStatus("echo")
    status.set_ready()
    jobs = JobRunner()
    with serve_in_thread("echo", 0, status=status.status) as (service, address):
        service.feedback = FeedbackCollector(log, Canary("new", "old", 0.1))
        service.teach = ImprovementLoop(versions, log, jobs)
        service.runs = TrainingRuns(runs, jobs)
        first = EchoAssistant()
        service.publish(first, "echo", "version v2")
        server = LoopServer(service, versions, address, first)

        def publish(model: Path) -> None:
            assistant = EchoAssistant()
            assistant.answer = f"I am {model.parent.name}"
            server.assistants.append(assistant)
            service.publish(assistant, "echo", f"version v{model.parent.name}")

        served = versions / "improve/2/model"
        with follow_versions(versions, served, publish, print, seconds=0.05):
            yield server
    jobs.close()
