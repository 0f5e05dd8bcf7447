"""Turn public data sets into rows for the classification recipes.

    python recipes/classify_data.py SETS OUT

    OUT/<task>/train.jsonl, validation.jsonl, test.jsonl    {"text": ..., "label": ...}
    OUT/masked/<domain>/*.jsonl                             {"text": ...}, for masked-lm
    OUT/manifest.json                                       rows, labels, sha256, rows dropped

| task | set | splits |
|---|---|---|
| sentiment | sst2 (movie-review sentences) | as published |
| topics | qc, TREC questions, six classes | test as published; a tenth of train is validation |
| spam | sms-spam | by hash of the text: 20 % test, 10 % validation |
| reviews | movie_reviews (whole reviews) | by hash of the text: 25 % test, 10 % validation |

No training or masked-lm text repeats a validation or test row of any task. Texts are compared as
letters and digits only, so "wo n't" equals "won't". A masked-lm text is dropped if it shares a run
of 40 of these characters with a held-out row, or holds a shorter one whole: many sentences of
sst2's dev and test sets are in sentence_polarity too. A labeled row is dropped only if it equals a
held-out row: text messages of one campaign resemble each other on both sides of any split.

Only the standard library is used, and every run writes the same bytes. Licenses: sst2 and qc state
none; sms-spam, movie_reviews, sentence_polarity and subjectivity CC BY 4.0; the dialogues and
trivia as in chat_real_data.py.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from classify_sets.held_out import HeldOut, letters_and_digits
from classify_sets.masked_texts import MASKED
from classify_sets.tasks import TASKS, Row

Dropped = Counter[str]  # reason -> how many rows


def clean_training(rows: list[Row], held_out: HeldOut, dropped: Dropped) -> Iterator[Row]:
    """Yield the training rows that neither repeat a held-out row nor each other."""
    seen: set[str] = set()
    for row in rows:
        key = letters_and_digits(row["text"]) + row["label"]
        if held_out.equals(row["text"]):
            dropped["repeats a held-out row"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(key)
            yield row


def clean_texts(
    texts: Iterable[str], held_out: HeldOut, seen: set[str], dropped: Dropped
) -> Iterator[dict[str, str]]:
    """Yield a row for each new text that shares nothing with a held-out row."""
    for text in texts:
        key = hashlib.sha256(letters_and_digits(text).encode()).hexdigest()
        if len(text.split()) < 3:
            dropped["under 3 words"] += 1
        elif key in seen:
            dropped["duplicate"] += 1
        elif held_out.overlaps(text):
            dropped["shares text with a held-out row"] += 1
        else:
            seen.add(key)
            yield {"text": text}


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write rows as JSON lines; return their number and hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    n_rows = 0
    with open(path, "wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            digest.update(line)
            n_rows += 1
    return {"rows": n_rows, "sha256": digest.hexdigest()}


def convert(data: Path, out: Path) -> dict[str, Any]:
    """Write all rows and the manifest, and return the manifest."""
    splits = {task: read(data) for task, read in TASKS.items()}
    held_out = HeldOut(
        row["text"]
        for parts in splits.values()
        for part in ("validation", "test")
        for row in parts[part]
    )
    manifest: dict[str, Any] = {}
    for task, parts in splits.items():
        dropped: Dropped = Counter()
        parts["train"] = list(clean_training(parts["train"], held_out, dropped))
        for part, rows in parts.items():
            labels = dict(sorted(Counter(row["label"] for row in rows).items()))
            entry = write_rows(out / task / f"{part}.jsonl", rows)
            manifest[f"{task}/{part}"] = entry | {"labels": labels}
        manifest[f"{task}/train"]["dropped"] = dict(sorted(dropped.items()))
    for domain in MASKED:
        manifest |= _write_masked(domain, splits, held_out, data, out)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (out / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def _write_masked(
    domain: str, splits: dict[str, dict[str, list[Row]]], held_out: HeldOut, data: Path, out: Path
) -> dict[str, Any]:
    """Write the texts of a domain and return their manifest entries."""
    tasks, sets = MASKED[domain]
    sources: dict[str, Iterable[str]] = {
        task: (row["text"] for row in splits[task]["train"]) for task in tasks
    }
    sources |= {name: read(data) for name, read in sets.items()}
    seen: set[str] = set()
    entries: dict[str, Any] = {}
    for name, texts in sources.items():
        dropped: Dropped = Counter()
        path = out / "masked" / domain / f"{name}.jsonl"
        entry = write_rows(path, clean_texts(texts, held_out, seen, dropped))
        entries[f"masked/{domain}/{name}"] = entry | {"dropped": dict(sorted(dropped.items()))}
    return entries


def main() -> None:
    """Convert the data sets that the command line names."""
    parser = argparse.ArgumentParser(
        description="Turn public data sets into rows for the classification recipes."
    )
    parser.add_argument("sets", type=Path, help="the folder with the data sets")
    parser.add_argument("out", type=Path, help="where the tasks, masked/ and manifest.json go")
    arguments = parser.parse_args()
    if not (arguments.sets / "sst2").is_dir():
        parser.error(f"{arguments.sets} has no folder sst2. Give the folder with the data sets.")
    for name, entry in convert(arguments.sets, arguments.out).items():
        details = f"{entry.get('labels', '')}  {entry.get('dropped', '')}"
        print(f"{name:32}{entry['rows']:9,} rows  {details}", file=sys.stderr)


if __name__ == "__main__":
    main()
