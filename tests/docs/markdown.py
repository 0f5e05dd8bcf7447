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


def pages() -> list[Path]:
    """Return every Markdown document for readers."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands_of(page: Path) -> list[Command]:
    """Return the commands in the fenced blocks of a page, in order.

    Commands in a `bash` block run in the tests. Those in a `text` block are only parsed.
    """
    found = []
    for block in FENCE.finditer(page.read_text(encoding="utf-8")):
        if block["language"] not in ("bash", "text"):
            continue
        for line in block["body"].splitlines():
            if line.strip().startswith(("chatwright ", "python ")):
                words = tuple(shlex.split(COMMENT.sub("", line.strip())))
                runs = block["language"] == "bash"
                found.append(Command(words, runs, page.relative_to(ROOT).as_posix()))
    return found


def inline_commands_of(page: Path) -> list[Command]:
    """Return the commands that a page names within its text: `chatwright up`."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    names = re.findall(r"`(chatwright [^`]+)`", text)
    return [Command(tuple(shlex.split(name)), False, page.name) for name in names]


def saved_files_of(page: Path) -> dict[str, str]:
    """Return the files that a page asks the reader to save: contents by path."""
    text = page.read_text(encoding="utf-8")
    return {match["name"]: match["body"] for match in SAVED_FILE.finditer(text)}
