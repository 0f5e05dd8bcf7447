"""The commands in the documents work: run in order, with --smoke where they train or measure."""

import io
import re
import runpy
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
import typer.main

from chatwright.cli.app import app
from chatwright.pipeline.packaged_recipes import find_recipe
from chatwright.pipeline.recipe import read_recipe
from tests.docs.markdown import ROOT, Command, SavedFile, commands_of, steps_of
from tests.docs.workspace import write_workspace

SHORTENED = ("run", "train", "eval")
WITH_ROWS = ("pretrain", "sft", "masked-lm")
TRAINED_QUICKLY = "messages", "colors"  # tutorials whose training is short enough to run whole
STARTER = ["docs/tutorials/first-model.md"]
TUTORIALS = [
    "docs/tutorials/classify-texts.md",
    "README.md",
    "docs/tutorials/your-own-data.md",
]
GUIDES = [
    "docs/tutorials/translate-sentences.md",  # minutes of training
    "docs/how-to/install.md",
    "docs/how-to/train-one-stage.md",
    "docs/how-to/check-your-data.md",
    "docs/how-to/write-a-recipe.md",
    "docs/how-to/resume-a-run.md",
    "docs/how-to/find-a-learning-rate.md",
    "docs/how-to/fine-tune-with-an-adapter.md",
    "docs/how-to/collect-feedback.md",
    "docs/how-to/rate-replies.md",
    "docs/how-to/learn-from-preferences.md",
    "docs/how-to/compare-two-models.md",
    "docs/how-to/improve-from-feedback.md",
    "docs/how-to/train-a-reward-model.md",
    "docs/how-to/import-and-export.md",
    "docs/how-to/distill.md",
    "docs/how-to/chat-in-the-terminal.md",
    "docs/how-to/serve-a-model.md",
    "docs/how-to/evaluate.md",
    "docs/how-to/label-texts.md",
    "docs/how-to/embed-texts.md",
    "docs/how-to/translate-files.md",
    "docs/how-to/word-vectors.md",
    "docs/how-to/look-inside-a-model.md",
    "docs/how-to/train-on-public-data.md",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    write_workspace(folder)
    return folder


@pytest.fixture(autouse=True)
def in_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)


@pytest.mark.ci
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", TUTORIALS)
def test_every_command_of_the_tutorial_works(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, monkeypatch)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [*STARTER, *GUIDES])
def test_every_command_of_the_guide_works(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_page(page, monkeypatch)


def run_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the files of a page and run its commands in order."""
    for step in steps_of(ROOT / page):
        if isinstance(step, SavedFile):
            Path(step.name).write_text(step.text, encoding="utf-8")
        elif step.runs:
            run(step, monkeypatch)


def run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one command in this process, shortened where it would take minutes."""
    program, *arguments = command.words
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello!\n"))
    if program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
    elif arguments[0] == "new":
        shutil.rmtree(arguments[1], ignore_errors=True)  # another page may have made it
        call(arguments)
    elif arguments[0] == "serve":
        serve_and_stop(arguments)
    elif arguments[0] == "up":
        built = f"{arguments[1]}/runs" if arguments[1:] else "runs/starter"
        call([*arguments, "--smoke", "--build-only", "--out", built])
    elif arguments[0] in SHORTENED and Path(option(arguments, "--out")).name not in TRAINED_QUICKLY:
        call([*arguments, "--smoke", *small_batches(arguments)])
        if arguments[0] == "run":  # later commands look where a run without --smoke would be
            name = Path(arguments[1]).stem
            shutil.copytree(f"runs/{name}-smoke", f"runs/{name}", dirs_exist_ok=True)
    else:
        call(arguments)


def small_batches(arguments: list[str]) -> list[str]:
    """Return settings for two rows in each batch, for the stages that train on rows of tokens."""
    if arguments[0] == "train" and arguments[1] in WITH_ROWS:
        return ["batches.rows=2"]
    if arguments[0] == "run":
        stages = read_recipe(find_recipe(Path(arguments[1]))).stages
        return [f"{s.name}.batches.rows=2" for s in stages if s.kind.name in WITH_ROWS]
    return []


def call(arguments: list[str]) -> None:
    """Call the command line; an error of any kind fails the test."""
    typer.main.get_command(app).main(arguments, prog_name="chatwright", standalone_mode=False)


def option(arguments: list[str], name: str) -> str:
    """Return the value of an option, or ""."""
    return arguments[arguments.index(name) + 1] if name in arguments else ""


def serve_and_stop(arguments: list[str]) -> None:
    """Serve on a free port, ask whether the server is well, and stop it."""
    command = [sys.executable, "-u", "-m", "chatwright", *arguments[:2], "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        addresses = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        address = next(match.group() for match in addresses if match)
        with urllib.request.urlopen(f"{address}/health") as response:
            assert response.status == 200
    finally:
        killer.cancel()
        process.terminate()
        process.communicate(timeout=30)


def test_every_page_with_commands_is_run() -> None:
    with_commands = {
        page.relative_to(ROOT).as_posix()
        for folder in ("docs/tutorials", "docs/how-to")
        for page in (ROOT / folder).glob("*.md")
        if any(command.runs for command in commands_of(page))
    }
    assert with_commands <= {*STARTER, *TUTORIALS, *GUIDES}
