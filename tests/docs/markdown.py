"""Commands, files and links in the Markdown documents."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S
)
SAVED_FILE = re.compile(
    r"Save\s+as\s+`(?P<name>[^`]+)`:\n\n```\w*\n(?P<body>.*?)^```$", re.M | re.S
)
COMMENT = re.compile(r"\s+# .*$")


@dataclass(frozen=True)
class Command:
    """A documented command line, as words. `runs` is False where it needs data that is not here."""

    words: tuple[str, ...]
    runs: bool
    page: str


@dataclass(frozen=True)
class SavedFile:
    """A file that a page asks the reader to save."""

    name: str
    text: str


def pages() -> list[Path]:
    """Return every Markdown document for readers."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def steps_of(page: Path) -> list[Command | SavedFile]:
    """Return the files to save and the commands to run on a page, in order.

    Commands in a `bash` block run in the tests. Those in a `text` block are only parsed.
    """
    text = page.read_text(encoding="utf-8")
    files = {match.start("body"): match["name"] for match in SAVED_FILE.finditer(text)}
    steps: list[Command | SavedFile] = []
    for block in FENCE.finditer(text):
        if block.start("body") in files:
            steps.append(SavedFile(files[block.start("body")], block["body"]))
        elif block["language"] in ("bash", "text"):
            runs = block["language"] == "bash"
            steps += _commands_in(block["body"], runs, page.relative_to(ROOT).as_posix())
    return steps


def _commands_in(text: str, runs: bool, page: str) -> list[Command]:
    return [
        Command(tuple(shlex.split(COMMENT.sub("", line.strip()))), runs, page)
        for line in text.replace("\\\n", "").splitlines()
        if line.strip().startswith(("chatwright ", "python "))
    ]


def commands_of(page: Path) -> list[Command]:
    """Return the commands in the fenced blocks of a page, in order."""
    return [step for step in steps_of(page) if isinstance(step, Command)]


def inline_commands_of(page: Path) -> list[Command]:
    """Return the commands that a page names within its text: `chatwright up`."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    names = re.findall(r"`(chatwright [^`]+)`", text)
    return [Command(tuple(shlex.split(name)), False, page.name) for name in names]
