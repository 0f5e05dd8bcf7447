"""Compare training rows with the evaluation sets.

A row is dropped if it shares a span of 13 words with an evaluation file, or asks one of its
questions word for word. Words are runs of letters and digits in lower case, so the tokenization of
wikitext-2 ("0 @.@ 7", "lobster 's") does not hide a match.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.files import read_text

SPAN = 13
FILES = {
    "wikitext-2": ["wikitext-2/valid.txt.xz"],
    "blimp": ["blimp/BLiMP.zip"],
    "gsm8k test": ["gsm8k/test.jsonl.xz"],
    "piqa": ["piqa/valid.jsonl.xz", "piqa/tests.jsonl.xz"],
    "truthfulqa": ["truthfulqa/TruthfulQA.csv.xz"],
    "nq-open": [
        f"nq-open/NQ-open.{name}"
        for name in ("dev.jsonl.xz", "efficientqa.dev.1.1.jsonl", "efficientqa.test.1.1.jsonl.xz")
    ],
    "falseqa valid": ["falseqa/valid.csv"],
    "mt-bench": ["mt-bench/mt_bench_question.jsonl", "mt-bench/vicuna_bench_question.jsonl"],
    "humaneval": ["humaneval/HumanEval.jsonl.gz"],
    "multi30k test": ["multi30k/test_2016_flickr.en.gz", "multi30k/test_2017_flickr.en.gz"],
}


def words(text: str) -> list[str]:
    """Return the runs of letters and digits, in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


class HeldOut:
    """The spans and questions of evaluation sets."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        """Index the texts of each evaluation set."""
        self.spans: dict[tuple[str, ...], str] = {}
        self.questions: dict[tuple[str, ...], str] = {}
        for name, strings in texts.items():
            for text in strings:
                sequence = words(text)
                self.spans.update(
                    (span, name) for span in zip(*(sequence[i:] for i in range(SPAN)), strict=False)
                )
                # A question of four words ("who is the president") is asked everywhere.
                if 5 <= len(sequence) < SPAN and name not in ("wikitext-2", "blimp"):
                    self.questions[tuple(sequence)] = name
        # Three words of each span find candidates fast: nearly every text is decided here.
        self.anchors = {(span[0], span[6], span[12]) for span in self.spans}

    def source(self, text: str) -> str | None:
        """Return the evaluation set that shares a span with the text, if one does."""
        sequence = words(text)
        if self.anchors.isdisjoint(zip(sequence, sequence[6:], sequence[12:], strict=False)):
            return None
        spans = zip(*(sequence[i:] for i in range(SPAN)), strict=False)
        return next((self.spans[span] for span in spans if span in self.spans), None)

    def question(self, text: str) -> str | None:
        """Return the evaluation set that asks exactly this question, if one does."""
        return self.questions.get(tuple(words(text)))


def load(data: Path) -> HeldOut:
    """Read the evaluation sets below a folder."""
    return HeldOut(
        {
            name: [text for path in paths for text in strings(data / path)]
            for name, paths in FILES.items()
        }
    )


def strings(path: Path) -> Iterator[str]:
    """Yield every string in a file, whatever its format."""
    if path.suffix == ".zip":
        yield from _blimp_sentences(path)
        return
    content = read_text(path)
    if ".json" in path.name:
        for line in content.split("\n"):  # not splitlines: the texts hold U+2028
            yield from leaves(json.loads(line)) if line.strip() else ()
    elif ".csv" in path.name:
        for cells in csv.reader(io.StringIO(content)):
            yield from cells
    else:
        yield from content.splitlines()


def _blimp_sentences(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".jsonl") or "__MACOSX" in name:  # resource forks of a Mac
                continue
            for line in archive.read(name).decode("utf-8").splitlines():
                row = json.loads(line)
                yield row["sentence_good"]
                yield row["sentence_bad"]


def leaves(value: Any) -> Iterator[str]:
    """Yield every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (leaf for child in value.values() for leaf in leaves(child))
    elif isinstance(value, list):
        yield from (leaf for child in value for leaf in leaves(child))
