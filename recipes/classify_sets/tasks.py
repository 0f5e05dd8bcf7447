"""The labeled sets, each split into training, validation and test rows."""

import hashlib
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from chat_real_sets.files import read_text

from classify_sets.held_out import letters_and_digits

Row = dict[str, str]
QUESTION_CLASSES = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}
"""The six coarse classes of TREC, and what the labels are called here."""


def hash_share(text: str) -> float:
    """Return a number in [0, 1) that depends on the letters of the text only."""
    digest = hashlib.sha256(letters_and_digits(text).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_hash(rows: Iterable[Row], test: float, validation: float) -> dict[str, list[Row]]:
    """Split rows into train, validation and test by the hash of their text."""
    parts: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for row in rows:
        share = hash_share(row["text"])
        is_validation = share < test + validation
        part = "test" if share < test else "validation" if is_validation else "train"
        parts[part].append(row)
    return parts


def sentiment(data: Path) -> dict[str, list[Row]]:
    """Read the splits of sst2 as published."""
    files = {"train": "train.tsv.xz", "validation": "dev.tsv", "test": "test.tsv"}
    return {part: list(map(_sst2_row, lines(data / "sst2" / n))) for part, n in files.items()}


def _sst2_row(line: str) -> Row:
    text, label = line.rsplit("\t", 1)
    return {"text": text, "label": ("negative", "positive")[int(label)]}


def topics(data: Path) -> dict[str, list[Row]]:
    """Read the TREC questions with their six classes."""

    def rows(name: str) -> list[Row]:
        text = read_member(data / "nltk-corpora" / "qc.zip", f"qc/{name}.txt").decode("latin-1")
        pairs = (line.split(" ", 1) for line in text.splitlines() if line.strip())
        return [
            {"text": question, "label": QUESTION_CLASSES[label.split(":")[0]]}
            for label, question in pairs
        ]

    return split_by_hash(rows("train"), 0.0, 0.1) | {"test": rows("test")}


def spam(data: Path) -> dict[str, list[Row]]:
    """Read the text messages of sms-spam."""
    found = (line.split("\t", 1) for line in lines(data / "sms-spam" / "SMSSpamCollection.tsv.xz"))
    return split_by_hash(({"text": text, "label": label} for label, text in found), 0.2, 0.1)


def reviews(data: Path) -> dict[str, list[Row]]:
    """Read the reviews of movie_reviews, each as one line."""
    with zipfile.ZipFile(data / "nltk-corpora" / "movie_reviews.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
        rows = [
            {
                "text": one_line(archive.read(name).decode("utf-8", errors="replace")),
                "label": "positive" if "/pos/" in name else "negative",
            }
            for name in names
            if "/pos/" in name or "/neg/" in name
        ]
    return split_by_hash(rows, 0.25, 0.1)


TASKS: dict[str, Callable[[Path], dict[str, list[Row]]]] = {
    "sentiment": sentiment,
    "topics": topics,
    "spam": spam,
    "reviews": reviews,
}


def lines(path: Path) -> list[str]:
    """Return the lines of a file that are not blank."""
    return [line.rstrip("\r") for line in read_text(path).split("\n") if line.strip()]


def read_member(path: Path, name: str) -> bytes:
    """Return the bytes of one file in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def one_line(text: str) -> str:
    """Return the text with single spaces for all white space."""
    return " ".join(text.split())
