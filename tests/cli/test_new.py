"""`chatwright new` writes a folder that checks, builds and moves; `chatwright up FOLDER` builds it, and stops first where the data is wrong."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatwright.cli import app, new
from chatwright.data.check import check
from chatwright.data.own_folder import EXAMPLE, ROWS, SHOWN
from chatwright.data.readers import scan_rows
from chatwright.data.row_shapes import KNOWN_SHAPES
from chatwright.data.rows import ChatRow, DataError, PreferenceRow, TextRow
from chatwright.pipeline.own_recipe import BUDGETS
from chatwright.pipeline.recipe import outside_data, read_recipe
from chatwright.tokenizer.chat_format import turn_kind

CHATWRIGHT = [sys.executable, "-m", "chatwright"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    """In this process. Returns the exit status and everything said."""
    monkeypatch.setattr(sys, "argv", ["chatwright", *arguments])
    with pytest.raises(SystemExit) as left:
        app.main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def build(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: str) -> str:
    """With a model as small as can be: what is tried here is the recipe's road, not its result."""
    recipe = Path(folder) / "recipe.toml"
    written = recipe.read_text()
    if 'size = "tiny"' in written:
        written = written.replace(
            'size = "tiny"\ncontext_length = 256', 'size = "nano"\ncontext_length = 128'
        )
        for stage in ("pretrain", "sft"):
            written = written.replace(
                f"[{stage}.loop]", f"[{stage}.batches]\nrows = 2\n\n[{stage}.loop]"
            )
        recipe.write_text(written)
    status, said = call(monkeypatch, capsys, "up", folder, "--smoke", "--build-only")
    assert status == 0, said
    return said


def texts(folder: Path, number: int = 8) -> Path:
    folder.mkdir()
    for i in range(number):
        (folder / f"{i}.txt").write_text(
            f"Boat number {i} leaves at {i} o'clock. It carries apples, letters and {i} dogs.\n" * 4
        )
    return folder


def conversations(folder: Path, number: int = 30) -> Path:
    folder.mkdir()
    rows = [
        {"prompt": f"When does boat {i} leave?", "completion": f"At {i} o'clock."}
        for i in range(number)
    ]
    (folder / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def shape_of(record: dict) -> str:
    """By its columns, written down apart from the reader's own rules."""
    for shape, columns in {
        "prompt+chosen+rejected": {"chosen"},
        "messages": {"messages"},
        "conversations (ShareGPT)": {"conversations"},
        "instruction+output (Alpaca)": {"instruction", "output"},
        "prompt+completion": {"prompt", "completion"},
        "text": {"text"},
    }.items():
        if columns <= record.keys():
            return shape
    return "unknown"


def test_every_shape_a_reader_knows_is_among_the_examples() -> None:
    records = [
        json.loads(line)
        for file in ROWS.glob(f"{EXAMPLE}*.jsonl")
        for line in file.read_text().splitlines()
    ]
    records += [
        record for file in ROWS.glob(f"{EXAMPLE}*.json") for record in json.loads(file.read_text())
    ]
    assert {shape_of(record) for record in records} == set(KNOWN_SHAPES)
    assert {file.name for file in ROWS.glob(f"{EXAMPLE}*")} == set(SHOWN)
    assert {file.suffix for file in ROWS.glob(f"{EXAMPLE}*")} == {
        ".txt",
        ".md",
        ".jsonl",
        ".json",
        ".csv",
    }
    rows = [row for name in SHOWN for row in scan_rows(ROWS / name)]
    assert {type(row) for row in rows} == {TextRow, ChatRow, PreferenceRow}
    roles = {
        turn_kind(message) for row in rows if isinstance(row, ChatRow) for message in row.messages
    }
    assert roles == {"system", "user", "assistant", "tool_call", "tool"}


def test_what_is_written_passes_the_check_builds_and_still_builds_after_a_move(
    here: Path, monkeypatch, capsys
) -> None:
    status, said = call(monkeypatch, capsys, "new", "my bakery", "--yes")
    assert status == 0, said
    report = check(here / "my bakery" / "data")
    assert report.is_ok
    assert not report.duplicates
    assert (
        60
        <= sum(report.n_rows.values())
        - len((here / "my bakery/data/identity.jsonl").read_text().splitlines())
        <= 100
    )
    assert 'chatwright up "my bakery"' in said
    build(monkeypatch, capsys, "my bakery")
    assert (here / "my bakery/runs-smoke/sft/model").is_dir()
    (here / "elsewhere").mkdir()
    shutil.move(here / "my bakery", here / "elsewhere" / "moved")
    assert build(monkeypatch, capsys, "elsewhere/moved").count("done before") == 3, (
        "nothing changed, so nothing is built again"
    )
    (here / "elsewhere/moved/data/more.txt").write_text("Nora lights the oven at two.\n")
    monkeypatch.chdir(here / "elsewhere" / "moved")
    assert "done before" not in build(monkeypatch, capsys, ".")


def test_the_model_is_told_who_it_is(here: Path, monkeypatch, capsys) -> None:
    assert (
        call(
            monkeypatch,
            capsys,
            "new",
            "b",
            "--assistant",
            'Al "Ash"',
            "--about",
            "I am here to count {ships}.",
            "--time",
            "night",
        )[0]
        == 0
    )
    rows = [
        json.loads(line)["messages"]
        for line in (here / "b/data/identity.jsonl").read_text().splitlines()
    ]
    answers = {
        turns[-2]["content"]: turns[-1]["content"] for turns in rows if turns[0]["role"] == "user"
    }
    assert len(answers) >= 12
    assert answers["Who are you?"] == 'I am Al "Ash". I am here to count {ships}.'
    assert any(
        turns[0]
        == {"role": "system", "content": 'You are Al "Ash". You are here to count {ships}.'}
        for turns in rows
    )
    plan = read_recipe(here / "b" / "recipe.toml")
    assert plan.stages[1].table["loop"]["steps"] == BUDGETS["night"].pretrain_steps
    assert plan.stages[1].table["model"]["size"] == "medium"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_folder_with_only_texts(here: Path, absolute: bool, monkeypatch, capsys) -> None:
    place = texts(here / "my {texts}")
    status, said = call(
        monkeypatch, capsys, "new", "b", "--yes", "--data", str(place) if absolute else "my {texts}"
    )
    assert status == 0, said
    assert "8 text rows" in said
    assert "no conversations" in said
    assert list((here / "b" / "data").iterdir()) == [here / "b" / "data" / "identity.jsonl"], (
        "no examples beside data of one's own"
    )
    found = outside_data(read_recipe(here / "b" / "recipe.toml"), here, None)
    assert {path.resolve() for places in found.values() for path in places} == {
        place,
        here / "b" / "data",
    }
    if absolute:
        return
    built = build(monkeypatch, capsys, "b")
    assert "texts read again" in built
    assert "conversations among them" in built


def test_a_folder_with_only_conversations(here: Path, monkeypatch, capsys) -> None:
    conversations(here / "chats")
    status, said = call(monkeypatch, capsys, "new", "b", "--yes", "--data", "chats")
    assert status == 0, said
    assert "no texts" in said
    assert "data" not in read_recipe(here / "b" / "recipe.toml").stages[1].table
    built = build(monkeypatch, capsys, "b")
    assert "[3/3] sft" in built
    assert "texts read again" not in built
    assert "conversations among them" not in built


def test_texts_and_conversations_of_ones_own(here: Path, monkeypatch, capsys) -> None:
    conversations(texts(here / "both") / "chats")
    status, said = call(monkeypatch, capsys, "new", "b", "--yes", "--data", "both")
    assert status == 0, said
    assert "30 conversation rows, 8 text rows" in said
    assert {
        stage.name: set(stage.table) >= {"data"}
        for stage in read_recipe(here / "b" / "recipe.toml").stages
    } == {"tokenizer": True, "pretrain": True, "sft": True}


def test_what_is_there_already_stays_untouched(here: Path, monkeypatch, capsys) -> None:
    (here / "b").mkdir()
    (here / "c").write_text("a file")
    for name in ("b", "c"):
        status, said = call(monkeypatch, capsys, "new", name, "--yes")
        assert status == 2
        assert f"{name}: is there already and stays as it is. Choose another name" in said
    assert list((here / "b").iterdir()) == []
    assert (here / "c").read_text() == "a file"


def test_a_folder_that_cannot_be_written_whole_is_removed(here: Path, monkeypatch) -> None:
    def fails(*_: object) -> str:
        raise OSError("no room")

    monkeypatch.setattr("chatwright.pipeline.own_recipe.readme_text", fails)
    with pytest.raises(OSError, match="no room"):
        new.new("b", yes=True, assistant=None, about=None, data=None, time=None)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "must not be empty"),
        (" ", "must not be empty"),
        ("..", "hidden"),
        (".b", "hidden"),
        ("../x", "must not hold"),
        ("a/b", "must not hold"),
        ("a\\b", "must not hold"),
        ("a\nb", "visible characters"),
        (" a", "without a space"),
        ("a" * 61, "at most 60"),
    ],
)
def test_bad_names_are_refused_with_a_reason(
    here: Path, name: str, reason: str, monkeypatch, capsys
) -> None:
    status, said = call(monkeypatch, capsys, "new", name, "--yes")
    assert status == 2
    assert reason in said
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--time", "week"], "choose one of minutes, hour, night"),
        (["--assistant", "a\nb"], "one line"),
        (["--about", "to "], "finish the sentence"),
        (["--data", "nowhere"], "no such file or folder"),
        (["--data", "."], "would lie inside it"),
        (["--data", "only.pdf"], "chatwright data check only.pdf"),
        (["--data", "it's rows.jsonl"], "only preferences, which no stage here reads yet"),
        (["--data", "it's rows.jsonl"], """chatwright data check 'it'"'"'s rows.jsonl'"""),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(
    here: Path, arguments: list[str], reason: str, monkeypatch, capsys
) -> None:
    (here / "only.pdf").write_bytes(b"%PDF")
    (here / "it's rows.jsonl").write_text(
        '{"prompt": "hi", "chosen": "hello", "rejected": "go away"}\n'
    )
    status, said = call(monkeypatch, capsys, "new", "b", "--yes", *arguments)
    assert status == 2
    assert reason in said
    assert not (here / "b").exists()


def test_questions_are_asked_in_a_terminal_and_bad_answers_asked_again(here: Path) -> None:
    conversations(here / "chats")
    shown = in_a_terminal(["new", "b"], ["Ash", "nowhere", "'chats'", "", "week", "an hour"])
    assert shown.count("> ") == 6
    assert "nowhere: there is no such file or folder" in shown
    assert "choose one of minutes, hour, night" in shown
    assert "chatwright up b" in shown
    assert "I am Ash. I am here to answer questions" in (here / "b/data/identity.jsonl").read_text()
    assert "{here}/../chats" in (here / "b/recipe.toml").read_text()


def test_no_answer_writes_nothing(here: Path) -> None:
    shown = in_a_terminal(["new", "b", "--assistant", "Ash"], ["", "\x04"])
    assert "called" not in shown, "what an option says is not asked"
    assert "nothing was written" in shown
    assert not (here / "b").exists()


def in_a_terminal(arguments: list[str], answers: list[str]) -> str:
    """Everything shown, with `answers` typed one at a time, each when the prompt is there; "\\x04" is Ctrl-D."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*CHATWRIGHT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side was closed
            break
        if not read:
            break
        shown += read
        if shown.endswith(b"> ") and answers:
            answer = answers.pop(0)
            os.write(ours, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
    os.close(ours)
    process.wait(timeout=60)
    return shown.decode()


def test_up_names_every_problem_before_it_builds_anything(here: Path, monkeypatch, capsys) -> None:
    call(monkeypatch, capsys, "new", "b", "--yes")
    (here / "b/data/mine.jsonl").write_text(
        '{"prompt": "Hi", "completion": "Hello."}\n{"prompt": "Hi"}\nnot json\n'
    )
    status, said = call(monkeypatch, capsys, "up", "b", "--build-only")
    assert status == 2
    assert "mine.jsonl, line 2" in said
    assert "mine.jsonl, line 3" in said
    assert "nothing was built" in said
    assert not (here / "b" / "runs").exists()


def test_up_says_which_kind_of_row_is_lacking_before_it_builds_anything(
    here: Path, monkeypatch, capsys
) -> None:
    """Who keeps conversations alone, as the folder's README allows."""
    call(monkeypatch, capsys, "new", "b", "--yes")
    for file in (here / "b" / "data").glob("example-*"):
        if file.suffix != ".csv":
            file.unlink()
    status, said = call(monkeypatch, capsys, "up", "b", "--smoke", "--build-only")
    assert status == 2
    assert (
        "data in [pretrain] names no texts, texts in [sft] names no texts, so nothing was built"
        in said
    )
    assert not (here / "b" / "runs-smoke").exists()
    recipe = here / "b" / "recipe.toml"
    of_reading = _lines_after(recipe, "[pretrain]")
    recipe.write_text(
        "\n".join(
            line
            for number, line in enumerate(recipe.read_text().splitlines())
            if not line.startswith("texts =")
            and not (line.startswith("data =") and number in of_reading)
        )
    )
    assert (
        "nothing was built"
        not in call(monkeypatch, capsys, "up", "b/recipe.toml", "--smoke", "--build-only")[1]
    )
    assert (here / "b" / "runs-smoke").exists(), "the recipe of a folder is the folder"


def _lines_after(recipe: Path, heading: str) -> range:
    lines = recipe.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(heading))
    return range(
        start,
        next(number for number in range(start + 1, len(lines)) if lines[number].startswith("[")),
    )


def test_a_model_that_nobody_can_talk_to_is_not_brought_up(here: Path, monkeypatch, capsys) -> None:
    status, said = call(monkeypatch, capsys, "up", "translate-en-fr", "--data", "my pairs")
    assert status == 2
    assert "there is nothing to serve. Build it: chatwright run" in said
    assert said.rstrip().endswith('--data "my pairs"')
    assert not (here / "runs").exists()


def test_up_says_what_to_do_where_there_is_no_recipe(here: Path, monkeypatch, capsys) -> None:
    texts(here / "texts")
    assert "Make it: chatwright new b" in call(monkeypatch, capsys, "up", "b")[1]
    assert 'Make it: chatwright new "my b"' in call(monkeypatch, capsys, "up", "my b")[1]
    assert "chatwright new NAME" in call(monkeypatch, capsys, "up", "b/recipe.tml")[1]
    assert (
        "beside it: chatwright new NAME --data texts" in call(monkeypatch, capsys, "up", "texts")[1]
    )
    monkeypatch.chdir(here / "texts")
    assert (
        "beside it: cd .. && chatwright new NAME --data texts"
        in call(monkeypatch, capsys, "up", ".")[1]
    )
    (here / "texts" / "deep").mkdir()
    monkeypatch.chdir(here / "texts" / "deep")
    assert (
        "beside it: cd ../.. && chatwright new NAME --data texts"
        in call(monkeypatch, capsys, "up", "..")[1]
    )


def test_too_little_is_said_in_a_sentence(here: Path, monkeypatch, capsys) -> None:
    call(monkeypatch, capsys, "new", "b", "--yes")
    for file in (here / "b" / "data").iterdir():
        file.unlink()
    (here / "b/data/mine.txt").write_text("A short text.\n")
    conversations(here / "b/data/chats", number=3)
    said = call(monkeypatch, capsys, "up", "b", "--smoke", "--build-only")[1]
    assert (
        "its 3 conversations are too few or too alike to keep 10% for validation. Add conversations with other first questions"
        in said
    )
    assert "Traceback" not in said
    assert not any(isinstance(row, DataError) for row in scan_rows(here / "b" / "data"))
