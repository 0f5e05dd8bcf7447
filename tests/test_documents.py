"""What the documents tell a person to type is run here, as it stands, with --smoke where it trains."""

import gzip
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from chatwright.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
CHATWRIGHT = [sys.executable, "-m", "chatwright"]
SHORTENED = ("run", "train", "eval")


def documented_commands() -> list[list[str]]:
    lines = [
        line.split(" # ")[0].split("  #")[0].strip()
        for block in re.findall(r"```\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
        for line in block.splitlines()
    ]
    return [shlex.split(line)[1:] for line in lines if line.startswith("chatwright ")]


def chatwright(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHATWRIGHT, *arguments], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a person's: the recipes, and some text and conversations of their own."""
    folder = tmp_path_factory.mktemp("person")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    own = folder / "my-folder"
    own.mkdir()
    for i in range(12):
        (own / f"note-{i}.txt").write_text(
            f"Note {i}. The boat number {i} leaves at {i} o'clock. It carries apples, letters and {i} dogs.\n"
            * 6
        )
    rows = [
        f'{{"messages": [{{"role": "user", "content": "When does boat {i} leave?"}}, {{"role": "assistant", "content": "At {i} o\'clock."}}]}}'
        for i in range(40)
    ]
    (own / "chat.jsonl").write_text("\n".join(rows) + "\n")
    pairs = folder / "multi30k"
    pairs.mkdir()
    for split in ("train", "val"):
        (pairs / f"{split}.fr.gz").write_bytes(
            gzip.compress("".join(f"Un homme voit {i} chiens.\n" for i in range(20)).encode())
        )
        (pairs / f"{split}.en.gz").write_bytes(
            gzip.compress("".join(f"A man sees {i} dogs.\n" for i in range(20)).encode())
        )
    (folder / "sentences.txt").write_text("Un homme voit deux chiens.\nUn chien dort.\n")
    (folder / "my-pairs.tsv").write_text(
        "".join(f"Un homme voit {i} chiens.\tA man sees {i} dogs.\n" for i in range(100))
    )
    labelled = [
        json.dumps(
            {
                "text": f"A {'fine' if i % 2 else 'dull'} film with {i} dogs .",
                "label": "good" if i % 2 else "bad",
            }
        )
        for i in range(80)
    ]
    for place in ("sets/masked/films", "sets/sentiment"):
        (folder / place).mkdir(parents=True)
    films = "\n\n".join(
        f"A film with {i} dogs , fine or dull , that ends with a song ." for i in range(300)
    )
    (folder / "sets/masked/films/films.txt").write_text(films)
    for file, rows in (
        ("my-labels", labelled),
        ("sets/sentiment/train", labelled[:60]),
        ("sets/sentiment/validation", labelled[60:]),
    ):
        (folder / f"{file}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.timeout(1200)
def test_every_documented_command_works_in_order(place: Path) -> None:
    seen = []
    for arguments in documented_commands():
        if arguments[0] == "up":  # the commands that follow look where a full build would be
            built = f"{arguments[1]}/runs" if arguments[1:] else "runs/starter"
            result = chatwright(*arguments, "--smoke", "--build-only", "--out", built, cwd=place)
        elif arguments[0] == "serve":
            serves_and_stops(arguments, place)
            seen.append("serve")
            continue
        elif arguments[0] in SHORTENED:
            result = chatwright(*arguments, "--smoke", cwd=place)
            if arguments[0] == "run":  # the commands that follow look where a full run would be
                name = Path(arguments[1]).stem
                shutil.copytree(
                    place / "runs" / f"{name}-smoke", place / "runs" / name, dirs_exist_ok=True
                )
        else:
            result = chatwright(*arguments, cwd=place, stdin="Hello!\n")
        assert result.returncode == 0, (
            f"chatwright {shlex.join(arguments)}\n{result.stdout[-2000:]}\n{result.stderr[-3000:]}"
        )
        assert "Traceback" not in result.stderr
        seen.append(arguments[0])
    assert {
        "new",
        "up",
        "chat",
        "generate",
        "serve",
        "eval",
        "doctor",
        "data",
        "run",
        "train",
        "translate",
    } <= set(seen)


def serves_and_stops(arguments: list[str], place: Path) -> None:
    process = subprocess.Popen(
        [*CHATWRIGHT, *arguments[:2], "--port", "0"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**__import__("os").environ, "PYTHONUNBUFFERED": "1"},
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    try:
        assert process.stdout is not None
        address = next(
            found.group()
            for line in process.stdout
            if (found := re.search(r"http://127\.0\.0\.1:\d+", line))
        )
        with urllib.request.urlopen(f"{address}/health") as answer:
            assert answer.status == 200
    finally:
        killer.cancel()
        process.terminate()
        process.communicate(timeout=30)


def test_the_attention_lesson_prints_its_own_table() -> None:
    text = (ROOT / "docs" / "lessons" / "attention.md").read_text()
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        exec(compile(block, "attention.md", "exec"), names)
    from chatwright.model.attention import attend, attention_weights

    rows = re.findall(r"^\| \((\d), (\d)\) \| ([\d. ]+) \| ([\d. ]+) \|$", text, flags=re.M)
    assert len(rows) == 5
    for q1, q2, weights, result in rows:
        query = torch.tensor([[[[float(q1), float(q2)]]]])
        keys, values = names["keys"], names["values"]
        torch.testing.assert_close(
            attention_weights(query, keys).flatten(),
            torch.tensor([float(x) for x in weights.split()]),
            atol=6e-5,
            rtol=0,
        )
        torch.testing.assert_close(
            attend(query, keys, values).flatten(),
            torch.tensor([float(x) for x in result.split()]),
            atol=6e-5,
            rtol=0,
        )


def test_every_link_and_file_named_in_the_documents_is_there() -> None:
    missing = []
    for document in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http") and not (document.parent / target).exists():
                missing.append(f"{document.name}: {target}")
        for path in re.findall(
            r"`((?:chatwright|recipes|benchmarks|tests|docs)/[\w/.-]+\.\w+)`", document.read_text()
        ):
            if not (ROOT / path).exists():
                missing.append(f"{document.name}: {path}")
    assert missing == []


def verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from verbs(below, f"{name} {word}".strip())


def test_help_describes_every_verb_and_option() -> None:
    described = dict(verbs(typer.main.get_command(app)))
    assert {"", "up", "import", "train sft", "inspect embeddings"} <= described.keys()
    for name, verb in described.items():
        assert verb.help, f"chatwright {name}: says nothing"
        assert "Usage:" in verb.get_help(verb.make_context(name, [], resilient_parsing=True))
        for parameter in verb.params:
            assert parameter.name == "help" or getattr(parameter, "help", None), (
                f"chatwright {name}: {parameter.name} has no description"
            )
    result = chatwright("import", "--help", cwd=ROOT)
    assert result.returncode == 0
    assert re.search(r"Usage: .* import \[OPTIONS\]", result.stdout)
