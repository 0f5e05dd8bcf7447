"""Read the published files: compressed text, JSON, archives, and text of mixed encodings."""

import gzip
import json
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """Return the text of a file, which may be compressed."""
    opener = lzma.open if path.suffix == ".xz" else gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        return str(file.read())


def json_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSON array, or of a file with one JSON object per line."""
    content = read_text(path)
    if path.name.removesuffix(".xz").endswith(".jsonl"):
        # Not splitlines: the texts hold U+2028.
        return [json.loads(line) for line in content.split("\n") if line.strip()]
    return list(json.loads(content))


def tar_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every file in a .tar.xz archive, sorted by name."""
    with tarfile.open(path, "r:xz") as archive:
        contents = {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
    for name in sorted(contents):
        yield name, decode(contents[name])


def decode(raw: bytes) -> str:
    """Decode text as UTF-8, and lines that are not UTF-8 as cp1252: some trivia files mix both."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "\n".join(map(_decode_line, raw.split(b"\n")))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
