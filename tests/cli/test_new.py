"""`chatwright new` writes a folder that passes the check and builds, also after a move."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatwright.cli import new
from chatwright.data.checks.check import check
from chatwright.data.own_folder import EXAMPLE, ROWS, SHOWN
from chatwright.data.readers.row_reader import scan_rows
from chatwright.data.readers.row_shapes import KNOWN_SHAPES
from chatwright.data.rows import ChatRow, DataError, PreferenceRow, TextRow
from chatwright.pipeline.build import plan_build
from chatwright.pipeline.own_recipe import BUDGETS
from chatwright.pipeline.recipe import external_data_paths, read_recipe
from chatwright.tokenizer.chat_format import turn_kind
from tests.cli.conftest import Command

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

CHATWRIGHT = [sys.executable, "-m", "chatwright"]
CTRL_D = "\x04"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def build(command: Command) -> Callable[[str], str]:
    """Return a function that builds a folder with a tiny model and returns the output."""

    def run(folder: str) -> str:
        recipe = Path(folder) / "recipe.toml"
        text = recipe.read_text()
        if 'size = "tiny"' in text:
            small = 'size = "nano"\ncontext_length = 128'
            text = text.replace('size = "tiny"\ncontext_length = 256', small)
            for stage in ("pretrain", "sft"):
                loop = f"[{stage}.loop]"
                text = text.replace(loop, f"[{stage}.batches]\nrows = 2\n\n{loop}")
            recipe.write_text(text)
        outcome = command("up", folder, "--smoke", "--build-only")
        assert outcome.status == 0, outcome.text
        return outcome.text

    return run


def table_of_stage(name: str) -> dict[str, Any]:
    """Return what the recipe in the folder b says of a stage."""
    [table] = [s.table for s in read_recipe(Path("b/recipe.toml")).stages if s.name == name]
    return table


def write_texts(folder: Path, number: int = 8) -> Path:
    folder.mkdir()
    for i in range(number):
        line = f"Boat number {i} leaves at {i} o'clock. It carries apples, letters and {i} dogs.\n"
        (folder / f"{i}.txt").write_text(line * 4)
    return folder


def write_conversations(folder: Path, number: int = 30) -> Path:
    folder.mkdir()
    rows = [
        {"prompt": f"When does boat {i} leave?", "completion": f"At {i} o'clock."}
        for i in range(number)
    ]
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


COLUMNS_OF_SHAPE = {
    "prompt+chosen+rejected": {"chosen"},
    "messages": {"messages"},
    "conversations (ShareGPT)": {"conversations"},
    "instruction+output (Alpaca)": {"instruction", "output"},
    "prompt+completion": {"prompt", "completion"},
    "text": {"text"},
}


def shape_of(record: dict[str, object]) -> str:
    """Name the shape of a record by its columns, without the reader's own rules."""
    for shape, columns in COLUMNS_OF_SHAPE.items():
        if columns <= record.keys():
            return shape
    return "unknown"


def test_the_examples_show_every_shape_that_the_readers_know() -> None:
    records: list[dict[str, object]] = []
    for file in ROWS.glob(f"{EXAMPLE}*.jsonl"):
        records += map(json.loads, file.read_text().splitlines())
    for file in ROWS.glob(f"{EXAMPLE}*.json"):
        records += json.loads(file.read_text())
    assert {shape_of(record) for record in records} == set(KNOWN_SHAPES)
    assert {file.name for file in ROWS.glob(f"{EXAMPLE}*")} == set(SHOWN)
    suffixes = {file.suffix for file in ROWS.glob(f"{EXAMPLE}*")}
    assert suffixes == {".txt", ".md", ".jsonl", ".json", ".csv"}
    rows = [row for name in SHOWN for row in scan_rows(ROWS / name)]
    assert {type(row) for row in rows} == {TextRow, ChatRow, PreferenceRow}
    chats = [row for row in rows if isinstance(row, ChatRow)]
    kinds = {turn_kind(message) for row in chats for message in row.messages}
    assert kinds == {"system", "user", "assistant", "tool_call", "tool"}


def test_the_new_folder_passes_the_check_and_builds_also_after_a_move(
    here: Path,
    command: Command,
    build: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = command("new", "my bakery", "--yes")
    assert outcome.status == 0, outcome.err
    assert 'chatwright up "my bakery"' in outcome.out
    report = check(here / "my bakery" / "data")
    assert report.is_ok
    assert not report.duplicates
    n_identity = len((here / "my bakery/data/identity.jsonl").read_text().splitlines())
    assert 60 <= sum(report.n_rows.values()) - n_identity <= 100
    build("my bakery")
    assert (here / "my bakery/runs-smoke/sft/model").is_dir()
    (here / "elsewhere").mkdir()
    shutil.move(here / "my bakery", here / "elsewhere" / "moved")
    stages = here / "elsewhere" / "moved" / "runs-smoke"
    weights = stages / "sft" / "model" / "model.safetensors"
    written_at = weights.stat().st_mtime_ns
    build("elsewhere/moved")
    assert weights.stat().st_mtime_ns == written_at, "nothing changed, so nothing runs again"
    (here / "elsewhere/moved/data/more.txt").write_text("Nora lights the oven at two.\n")
    monkeypatch.chdir(here / "elsewhere" / "moved")
    build(".")
    assert weights.stat().st_mtime_ns != written_at
    assert (stages / "sft.old-1").is_dir(), "the old stage is kept"


def test_the_identity_rows_name_the_assistant_and_its_purpose(here: Path, command: Command) -> None:
    name, about = 'Al "Ash"', "I am here to count {ships}."
    options = ("--assistant", name, "--about", about, "--time", "night")
    assert command("new", "b", *options).status == 0
    lines = (here / "b/data/identity.jsonl").read_text().splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    answers = {row[-2]["content"]: row[-1]["content"] for row in rows if row[0]["role"] == "user"}
    assert len(answers) >= 12
    assert answers["Who are you?"] == 'I am Al "Ash". I am here to count {ships}.'
    system = {"role": "system", "content": 'You are Al "Ash". You are here to count {ships}.'}
    assert any(row[0] == system for row in rows)
    pretrain = read_recipe(here / "b" / "recipe.toml").stages[1].table
    assert pretrain["loop"]["steps"] == BUDGETS["night"].pretrain_steps
    assert pretrain["model"]["size"] == "medium"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_with_only_texts_builds(
    here: Path, absolute: bool, command: Command, build: Callable[[str], str]
) -> None:
    data = write_texts(here / "my {texts}")
    outcome = command("new", "b", "--yes", "--data", data if absolute else "my {texts}")
    assert outcome.status == 0, outcome.err
    assert "8 text rows" in outcome.out
    assert "no conversations" in outcome.out
    assert [file.name for file in (here / "b" / "data").iterdir()] == ["identity.jsonl"]
    sources = external_data_paths(read_recipe(here / "b" / "recipe.toml"), here, None)
    found = {path.resolve() for paths in sources.values() for path in paths}
    assert found == {data, here / "b" / "data"}
    if not absolute:
        build("b")
        assert "chat" in table_of_stage("pretrain")
        assert "texts" in table_of_stage("sft")


def test_a_folder_with_only_conversations_builds(
    here: Path, command: Command, build: Callable[[str], str]
) -> None:
    write_conversations(here / "chats")
    outcome = command("new", "b", "--yes", "--data", "chats")
    assert outcome.status == 0, outcome.err
    assert "no texts" in outcome.out
    assert "data" not in table_of_stage("pretrain")
    assert "texts" not in table_of_stage("sft")
    build("b")
    assert (here / "b/runs-smoke/sft/model").is_dir()


def test_a_folder_with_texts_and_conversations_is_read_by_every_stage(
    here: Path, command: Command
) -> None:
    write_conversations(write_texts(here / "both") / "chats")
    outcome = command("new", "b", "--yes", "--data", "both")
    assert outcome.status == 0, outcome.err
    assert "30 conversation rows, 8 text rows" in outcome.out
    stages = read_recipe(here / "b" / "recipe.toml").stages
    assert [stage.name for stage in stages if "data" in stage.table] == [
        "tokenizer",
        "pretrain",
        "sft",
    ]


def test_new_never_changes_an_existing_file_or_folder(here: Path, command: Command) -> None:
    (here / "b").mkdir()
    (here / "c").write_text("a file")
    for name in ("b", "c"):
        assert command("new", name, "--yes").status == 2
    assert list((here / "b").iterdir()) == []
    assert (here / "c").read_text() == "a file"


def test_a_folder_that_cannot_be_written_completely_is_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("chatwright.pipeline.own_recipe.readme_text", fail)
    with pytest.raises(OSError, match="no room"):
        new.new("b", yes=True, assistant=None, about=None, data=None, time=None)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["a/b"], ["b", "--time", "week"], ["b", "--about", "to "], ["b", "--data", "x"]]
)
def test_a_wrong_argument_writes_nothing(
    here: Path, arguments: list[str], command: Command
) -> None:
    assert command("new", *arguments, "--yes").status == 2
    assert list(here.iterdir()) == []


def test_a_terminal_is_asked_again_until_an_answer_is_valid(here: Path) -> None:
    write_conversations(here / "chats")
    answers = ["Ash", "nowhere", "'chats'", "", "nosuch", "scratch", "week", "an hour"]
    shown = type_in_terminal(["new", "b"], answers)
    assert shown.count("> ") == 8
    assert "chatwright up b" in shown
    assert "I am Ash. I am here to answer questions" in (here / "b/data/identity.jsonl").read_text()
    assert "{here}/../chats" in (here / "b/recipe.toml").read_text()


def test_ctrl_d_writes_nothing_and_given_options_are_not_asked_for(here: Path) -> None:
    shown = type_in_terminal(["new", "b", "--assistant", "Ash"], ["", CTRL_D])
    assert "name of your assistant" not in shown
    assert "--yes" in shown
    assert not (here / "b").exists()


def type_in_terminal(arguments: list[str], answers: list[str]) -> str:
    """Run a command in a pseudo-terminal, type an answer at each prompt, return what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*CHATWRIGHT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # Linux reports the end of the program so
            break
        if not read:
            break
        shown += read
        if shown.endswith(b"> ") and answers:
            answer = answers.pop(0)
            os.write(ours, answer.encode() if answer == CTRL_D else f"{answer}\n".encode())
    os.close(ours)
    process.wait(timeout=60)
    return shown.decode()


def test_up_names_every_problem_of_the_data_before_it_builds(here: Path, command: Command) -> None:
    command("new", "b", "--yes")
    rows = '{"prompt": "Hi", "completion": "Hello."}\n{"completion": "Hi"}\nnot json\n'
    (here / "b/data/mine.jsonl").write_text(rows)
    outcome = command("up", "b", "--build-only")
    assert outcome.status == 2
    assert "mine.jsonl, line 2" in outcome.err
    assert "mine.jsonl, line 3" in outcome.err
    assert not (here / "b" / "runs").exists()


def test_up_without_texts_names_the_lines_to_remove_and_accepts_the_recipe_without_them(
    here: Path, command: Command
) -> None:
    """A user may keep conversations alone, as the README of the folder says."""
    command("new", "b", "--yes")
    for file in (here / "b" / "data").glob("example-*"):
        if file.suffix != ".csv":
            file.unlink()
    outcome = command("up", "b", "--smoke", "--build-only")
    assert outcome.status == 2
    assert "data in [pretrain]" in outcome.last_line
    assert "texts in [sft]" in outcome.last_line
    assert not (here / "b" / "runs-smoke").exists()
    recipe = here / "b" / "recipe.toml"
    kept: list[str] = []
    section = ""
    for line in recipe.read_text().splitlines():
        section = line.split("#")[0].strip() if line.startswith("[") else section
        is_data = section == "[pretrain]" and line.startswith("data =")
        if not is_data and not line.startswith("texts ="):
            kept.append(line)
    recipe.write_text("\n".join(kept))
    plan_build(Path("b/recipe.toml")).check_data(print)


def test_a_model_that_cannot_chat_is_not_built_by_up(here: Path, command: Command) -> None:
    outcome = command("up", "translate-en-fr", "--data", "my pairs")
    assert outcome.status == 2
    assert outcome.last_line.endswith('--data "my pairs"')
    assert not (here / "runs").exists()


def test_too_few_conversations_are_an_error_that_says_how_many_there_are(
    here: Path, command: Command
) -> None:
    command("new", "b", "--yes")
    for file in (here / "b" / "data").iterdir():
        file.unlink()
    (here / "b/data/mine.txt").write_text("A short text.\n")
    write_conversations(here / "b/data/chats", number=3)
    outcome = command("up", "b", "--smoke", "--build-only")
    assert outcome.status == 2
    assert "3 conversations" in outcome.last_line
    assert not any(isinstance(row, DataError) for row in scan_rows(here / "b" / "data"))
