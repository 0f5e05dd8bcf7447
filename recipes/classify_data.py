"""Turn the public data sets of ../shared/data into rows for the classification recipes.

    python recipes/classify_data.py ../shared/data OUT

    OUT/<task>/train.jsonl, validation.jsonl, test.jsonl    {"text": ..., "label": ...}
    OUT/masked/<domain>/*.jsonl                             {"text": ...}, for masked-language pretraining
    OUT/manifest.json                                       rows, labels, sha256, and what was dropped and why

| task | set | splits |
|---|---|---|
| sentiment | sst2 (movie-review sentences) | as published |
| topics | qc, TREC questions, six coarse classes | test as published; a tenth of train is validation |
| spam | sms-spam | by hash of the text: 20 % test, 10 % validation |
| reviews | movie_reviews (whole reviews) | by hash of the file: 25 % test, 10 % validation |

No row of any training or masked-language text repeats a validation or test row of any task: texts are compared as bare letters and digits, so
that "wo n't" is "won't", and a row is dropped where it shares a run of 40 of them with a held-out row, or all of a shorter one. Many sentences
of sst2's dev and test sets stand, with their labels, in sentence_polarity and elsewhere. Labelled rows are dropped only where they
are the same as a whole: text messages of one campaign are alike by nature, on both sides of any split.

Standard library only; the same bytes every time. Licences: sst2 and qc state none; sms-spam CC BY 4.0; movie_reviews, sentence_polarity and
subjectivity CC BY 4.0; the dialogues and trivia as in chat_real_data.py.
"""

import argparse
import hashlib
import json
import lzma
import re
import sys
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from chat_real_sets import conversations, facts, prose

RUN = 40  # letters and digits: about nine words
SHORTEST = 16  # a held-out text below this is common speech ("very good"), and only the same row repeats it
COARSE = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}

Row = dict[str, str]
Dropped = Counter[str]


def bare(text: str) -> str:
    """Letters and digits alone: "It 's café-like" and "it's cafe like" are the same."""
    decomposed = unicodedata.normalize("NFKD", text).lower()
    return re.sub(r"[^a-z0-9]+", "", decomposed)


class HeldOut:
    """Validation and test texts, as something any other text can be compared with."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.whole = {bare(text) for text in texts}
        long = [text for text in self.whole if len(text) >= RUN]
        self.runs = {text[i : i + RUN] for text in long for i in range(len(text) - RUN + 1)}
        # Half a run at every twentieth place is inside every whole one: nearly all text ends at this look.
        self.halves = {
            text[i : i + RUN // 2] for text in long for i in range(len(text) - RUN // 2 + 1)
        }
        self.short: dict[str, list[str]] = {}  # by their beginnings
        for text in self.whole:
            if SHORTEST <= len(text) < RUN:
                self.short.setdefault(text[:SHORTEST], []).append(text)

    def is_repeated_by(self, text: str) -> bool:
        return bare(text) in self.whole

    def stands_in(self, text: str) -> bool:
        """Whether the text shares a run of letters with a held-out one, or holds a short one whole."""
        letters = bare(text)
        if letters in self.whole:
            return True
        halves = (letters[i : i + RUN // 2] for i in range(0, len(letters), RUN // 2))
        if any(half in self.halves for half in halves) and any(
            letters[i : i + RUN] in self.runs for i in range(len(letters) - RUN + 1)
        ):
            return True
        begun = (
            i for i in range(len(letters) - SHORTEST + 1) if letters[i : i + SHORTEST] in self.short
        )
        return any(
            letters.startswith(text, i)
            for i in begun
            for text in self.short[letters[i : i + SHORTEST]]
        )


def share(text: str) -> float:
    """A number in [0, 1) that only the letters of the text decide."""
    return int.from_bytes(hashlib.sha256(bare(text).encode()).digest()[:8], "big") / 2**64


def by_hash(rows: Iterable[Row], test: float, validation: float) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {"train": [], "validation": [], "test": []}
    for row in rows:
        place = share(row["text"])
        parts[
            "test" if place < test else "validation" if place < test + validation else "train"
        ].append(row)
    return parts


def sentiment(data: Path) -> dict[str, list[Row]]:
    files = {"train": "train.tsv.xz", "validation": "dev.tsv", "test": "test.tsv"}
    return {
        part: [
            {"text": text, "label": ("negative", "positive")[int(label)]}
            for text, label in (line.rsplit("\t", 1) for line in lines(data / "sst2" / name))
        ]
        for part, name in files.items()
    }


def topics(data: Path) -> dict[str, list[Row]]:
    def rows(name: str) -> list[Row]:
        text = in_zip(data / "nltk-corpora" / "qc.zip", f"qc/{name}.txt").decode("latin-1")
        found = (line.split(" ", 1) for line in text.splitlines() if line.strip())
        return [
            {"text": question, "label": COARSE[label.split(":")[0]]} for label, question in found
        ]

    return by_hash(rows("train"), 0.0, 0.1) | {"test": rows("test")}


def spam(data: Path) -> dict[str, list[Row]]:
    found = (line.split("\t", 1) for line in lines(data / "sms-spam" / "SMSSpamCollection.tsv.xz"))
    return by_hash(({"text": text, "label": label} for label, text in found), 0.2, 0.1)


def reviews(data: Path) -> dict[str, list[Row]]:
    path = data / "nltk-corpora" / "movie_reviews.zip"
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".txt"))
        rows = [
            {
                "text": one_line(archive.read(name).decode("utf-8", errors="replace")),
                "label": "positive" if "/pos/" in name else "negative",
            }
            for name in names
            if "/pos/" in name or "/neg/" in name
        ]
    return by_hash(rows, 0.25, 0.1)


TASKS: dict[str, Callable[[Path], dict[str, list[Row]]]] = {
    "sentiment": sentiment,
    "topics": topics,
    "spam": spam,
    "reviews": reviews,
}


FILM_SENTENCES = (
    "sentence_polarity/rt-polarity.neg",
    "sentence_polarity/rt-polarity.pos",
    "subjectivity/plot.tok.gt9.5000",
    "subjectivity/quote.tok.gt9.5000",
)


def film_sentences(data: Path) -> Iterator[str]:
    for member in FILM_SENTENCES:
        archive = data / "nltk-corpora" / f"{member.split('/')[0]}.zip"
        for line in in_zip(archive, member).decode("latin-1").splitlines():
            yield one_line(line)


def trivia_questions(data: Path) -> Iterator[str]:
    for question, _, _ in facts.trivia(data, Counter()):
        yield question


def dialogue_lines(data: Path) -> Iterator[str]:
    """Everyday speech, a turn at a time."""
    for text in conversations.plain_dialogues(data, Counter()):
        yield from (line.split(": ", 1)[-1] for line in text.split("\n") if line.strip())


def books(data: Path) -> Iterator[str]:
    yield from prose.classic_books(data, Counter())


# domain -> set -> texts; the labelled training rows of the tasks named join theirs
MASKED: dict[str, tuple[tuple[str, ...], dict[str, Callable[[Path], Iterator[str]]]]] = {
    "films": (("sentiment", "reviews"), {"film-sentences": film_sentences}),
    "questions": (("topics",), {"trivia": trivia_questions}),
    "messages": (("spam",), {"dialogues": dialogue_lines}),
    "general": ((), {"books": books}),
}


def lines(path: Path) -> list[str]:
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return [line.rstrip("\r") for line in str(file.read()).split("\n") if line.strip()]


def in_zip(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def one_line(text: str) -> str:
    return " ".join(text.split())


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, n = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            digest.update(line)
            n += 1
    return {"rows": n, "sha256": digest.hexdigest()}


def clean_training(rows: list[Row], held_out: HeldOut, dropped: Dropped) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        if held_out.is_repeated_by(row["text"]):
            dropped["repeats a held-out row"] += 1
        elif (key := bare(row["text"]) + row["label"]) in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            yield row


def clean_texts(
    texts: Iterable[str], held_out: HeldOut, seen: set[str], dropped: Dropped
) -> Iterator[dict[str, str]]:
    for text in texts:
        key = hashlib.sha256(bare(text).encode()).hexdigest()
        if len(text.split()) < 3:
            dropped["under 3 words"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        elif held_out.stands_in(text):
            dropped["shares text with a held-out row"] += 1
        else:
            seen.add(key)
            yield {"text": text}


def convert(data: Path, out: Path) -> dict[str, Any]:
    """Write everything; return the manifest."""
    parts = {task: read(data) for task, read in TASKS.items()}
    held_out = HeldOut(
        row["text"]
        for splits in parts.values()
        for part in ("validation", "test")
        for row in splits[part]
    )
    manifest: dict[str, Any] = {}
    for task, splits in parts.items():
        dropped: Dropped = Counter()
        splits["train"] = list(clean_training(splits["train"], held_out, dropped))
        for part, rows in splits.items():
            labels = dict(sorted(Counter(row["label"] for row in rows).items()))
            manifest[f"{task}/{part}"] = write_rows(out / task / f"{part}.jsonl", rows) | {
                "labels": labels
            }
        manifest[f"{task}/train"]["dropped"] = dict(sorted(dropped.items()))
    for domain, (tasks, sets) in MASKED.items():
        seen: set[str] = set()
        labelled = {
            task: lambda _, task=task: (row["text"] for row in parts[task]["train"])
            for task in tasks
        }
        for name, texts in (labelled | sets).items():
            dropped = Counter()
            written = write_rows(
                out / "masked" / domain / f"{name}.jsonl",
                clean_texts(texts(data), held_out, seen, dropped),
            )
            manifest[f"masked/{domain}/{name}"] = written | {
                "dropped": dict(sorted(dropped.items()))
            }
    (out / "manifest.json").write_text(
        json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Turn the public data sets into rows for the classification recipes."
    )
    parser.add_argument(
        "data", type=Path, help="the folder with the data sets, for example ../shared/data"
    )
    parser.add_argument("out", type=Path, help="where the tasks, masked/ and manifest.json go")
    arguments = parser.parse_args()
    if not (arguments.data / "sst2").is_dir():
        parser.error(
            f"{arguments.data} holds no folder sst2; give the folder that holds the data sets and their README"
        )
    for name, entry in convert(arguments.data, arguments.out).items():
        print(
            f"{name:32}{entry['rows']:9,} rows  {entry.get('labels', '')}  {entry.get('dropped', '')}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
