"""Turn public sets of human preferences into snapshots of feedback.

    python recipes/feedback_data.py SETS OUT [--include-unclear]

    OUT/SET/train.jsonl, test.jsonl    snapshots (docs/reference/data-formats.md)
    OUT/manifest.json                  per set: rows, hashes, license, agreement of the raters, and
                                       how many rows were dropped for which reason

SETS is the folder with the data sets. The hash of the instruction (of the conversation, in
Topical-Chat) decides the side, so an instruction is on the same side in every set; a fifth is for
testing. Every run writes the same bytes. The readers are in recipes/feedback_sets/, one function
per set.

Never read: alpaca-eval-gpt4-prefs (non-commercial), auto-j (no license) and hh-rlhf-harmless-test
(offensive). LLaMA-Factory's sample states no license, so only --include-unclear uses it. No row
asks a question of an evaluation set or shares 13 words in a row with one. Rows with offensive words
are dropped. Two sets are rules rather than judgments of people, and are marked as simulated.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import BROKEN, OFFENSIVE, Dropped
from chat_real_sets.held_out import HeldOut, load
from feedback_sets.readers import Keyed
from feedback_sets.sets import LEFT_OUT, SETS, FeedbackSet

from chatwright.data.preferences import Feedback, Ranking
from chatwright.data.snapshot import write_snapshot
from chatwright.evaluation.feedback_quality.quality import assess

TEST_SHARE = 0.2
MAX_CHARACTERS = 8_000
"""Longest conversation with its replies."""


def convert(data: Path, out: Path, include_unclear: bool = False) -> dict[str, Any]:
    """Write the snapshots and the manifest, and return the manifest."""
    held_out = load(data)
    manifest: dict[str, Any] = {"never read": LEFT_OUT}
    for feedback_set in SETS:
        folder = out / feedback_set.name
        for part in ("train", "test"):
            (folder / f"{part}.jsonl").unlink(missing_ok=True)  # of an earlier run
        if feedback_set.is_unclear and not include_unclear:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        manifest[feedback_set.name] = _write_set(feedback_set, data, folder, held_out)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (out / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def _write_set(
    feedback_set: FeedbackSet, data: Path, folder: Path, held_out: HeldOut
) -> dict[str, Any]:
    dropped: Dropped = Counter()
    rows = [
        row for row in feedback_set.read(data, dropped) if _is_usable(row[1], held_out, dropped)
    ]
    entry: dict[str, Any] = {"license": feedback_set.license, "from": feedback_set.folder}
    if feedback_set.note:
        entry["note"] = feedback_set.note
    for part, items in zip(("train", "test"), split(rows), strict=True):
        written = write_snapshot(folder / f"{part}.jsonl", items)
        entry[part] = {"rows": len(items), "sha256": written.sha256}
    report = assess([item for _, item in rows]).report.to_json()
    names = ("n_of_kind", "ties", "disputed", "alpha", "two_raters_agree", "noise_ceiling")
    entry |= {name: report[name] for name in (*names, "is_simulated")}
    return entry | {"dropped": dict(sorted(dropped.items()))}


def split(rows: list[Keyed]) -> tuple[list[Feedback], list[Feedback]]:
    """Return the feedback as (training, test), by the hashes of the keys."""
    sides: tuple[list[Feedback], list[Feedback]] = ([], [])
    for key, item in rows:
        sides[is_test(key)].append(item)
    return sides


def is_test(key: str) -> bool:
    """Whether rows of this key are for testing; letter case and white space do not matter."""
    digest = hashlib.sha256(" ".join(key.lower().split()).encode()).digest()
    return int.from_bytes(digest[:4], "big") < TEST_SHARE * 2**32


def _is_usable(item: Feedback, held_out: HeldOut, dropped: Dropped) -> bool:
    replies = item.replies if isinstance(item, Ranking) else (item.reply,)
    prompt = [message.text for message in item.prompt]
    texts = [*prompt, *(reply.message.text for reply in replies)]
    whole = "\n".join(texts)
    if not all(text.strip() for text in texts):
        reason = "empty turn"
    elif len(whole) > MAX_CHARACTERS:
        reason = f"over {MAX_CHARACTERS:,} characters"
    elif BROKEN.search(whole):
        reason = "broken characters"
    elif OFFENSIVE.search(whole):
        reason = "offensive word"
    elif source := next(filter(None, map(held_out.question, prompt)), None):
        reason = f"asks a question of {source}"
    elif source := held_out.source(whole):
        reason = f"shares 13 words with {source}"
    else:
        return True
    dropped[reason] += 1
    return False


def main() -> None:
    """Convert the data sets that the command line names."""
    parser = argparse.ArgumentParser(
        description="Turn public sets of human preferences into snapshots of feedback."
    )
    parser.add_argument("sets", type=Path, help="the folder with the data sets")
    parser.add_argument("out", type=Path, help="where the snapshots and manifest.json go")
    parser.add_argument(
        "--include-unclear", action="store_true", help="also use the set that states no license"
    )
    arguments = parser.parse_args()
    if not (arguments.sets / "pandalm").is_dir():
        parser.error(f"{arguments.sets} has no folder pandalm. Give the folder with the data sets.")
    manifest = convert(arguments.sets, arguments.out, arguments.include_unclear)
    for name, reason in manifest.pop("never read").items():
        print(f"{name:24} never read: {reason}", file=sys.stderr)
    for name, entry in manifest.items():
        agreement = entry["two_raters_agree"]
        agree = f"  two raters agree {agreement['value']:.1%}" if agreement else ""
        label = "  SIMULATED" if entry["is_simulated"] else ""
        counts = f"{entry['train']['rows']:8,} train {entry['test']['rows']:7,} test"
        print(f"{name:24}{counts}{agree}{label}", file=sys.stderr)


if __name__ == "__main__":
    main()
