"""Turn public data sets into training rows for recipes/chat-real.toml.

    python recipes/chat_real_data.py SETS OUT [--include-unclear]

    OUT/pretrain/*.jsonl   {"text": ...}, one document of at most a chapter per line
    OUT/chat/*.jsonl       {"messages": [{"role": ..., "content": ...}, ...]}
    OUT/manifest.json      per set: rows, words, bytes, license, sha256, source folders, and how
                           many rows were dropped for which reason

SETS is the folder with the data sets. The result is about 20 million words and 50,000
conversations, in about a minute. Only the standard library is used, and every run writes the same
bytes. The readers are in recipes/chat_real_sets/, one function per set.

Never read: hh-rlhf-harmless-test (offensive), auto-j (adult prompts), alpaca-5000 and Alpaca-GPT4
(non-commercial). Evaluation sets are read only to avoid them: no row shares 13 words in a row with
one, and no conversation asks one of its questions. falseqa, the Reddit jokes and LLaMA-Factory's
preferred answers state no license, so only --include-unclear uses them. The manifest names the
other licenses. Several ask for attribution or sharing alike, and all of them apply to a model that
is trained on everything.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import BROKEN, OFFENSIVE, Dropped, Turn, n_word
from chat_real_sets.held_out import HeldOut, load
from chat_real_sets.sets import CHAT, PRETRAIN, DataSet

MAX_TURN_WORDS = {"system": 120, "user": 250, "assistant": 200, "command": 60, "result": 120}
MAX_CONVERSATION_WORDS = 600
MAY_FOLLOW = {
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "result"),
    "command": ("user", "result"),
    "result": ("command",),
}
"""For each role, the roles it may follow; "" is the beginning of the conversation."""


def fault(turns: list[Turn]) -> str | None:
    """Return why a conversation cannot be used; None if it can."""
    before = ""
    for turn in turns:
        role = turn["role"]
        content = turn["content"]
        if before not in MAY_FOLLOW[role]:
            return "turns out of order"
        if not content.strip():
            return "empty turn"
        if n_word(content) > MAX_TURN_WORDS[role]:
            return f"{role} turn over {MAX_TURN_WORDS[role]} words"
        if BROKEN.search(content):
            return "broken characters"
        if OFFENSIVE.search(content):
            return "offensive word"
        before = role
    if before not in ("assistant", "command"):
        return "ends without an answer"
    if sum(n_word(turn["content"]) for turn in turns) > MAX_CONVERSATION_WORDS:
        return f"over {MAX_CONVERSATION_WORDS} words"
    return None


Row = tuple[dict[str, Any], str]
"""A row to write, and its text."""


def documents(
    data_set: DataSet, data: Path, held_out: HeldOut, seen: set[bytes], dropped: Dropped
) -> Iterator[Row]:
    """Yield the usable documents of a set, and count the others by reason."""
    for text in data_set.read(data, dropped):
        if source := held_out.source(text):
            dropped[f"shares 13 words with {source}"] += 1
        elif is_repeated(text, seen):
            dropped["duplicate"] += 1
        else:
            yield {"text": text}, text


def chats(
    data_set: DataSet, data: Path, held_out: HeldOut, seen: set[bytes], dropped: Dropped
) -> Iterator[Row]:
    """Yield the usable conversations of a set, and count the others by reason."""
    for turns in data_set.read(data, dropped):
        text = "\n".join(turn["content"] for turn in turns)
        if reason := fault(turns):
            dropped[reason] += 1
        elif source := held_out.source(text):
            dropped[f"shares 13 words with {source}"] += 1
        elif source := _asked_in(turns, held_out):
            dropped[f"asks a question of {source}"] += 1
        elif is_repeated(text, seen):
            dropped["duplicate"] += 1
        else:
            yield {"messages": turns}, text


def _asked_in(turns: list[Turn], held_out: HeldOut) -> str | None:
    """The evaluation set that asks a question of the conversation, if one does."""
    questions = (turn["content"] for turn in turns if turn["role"] == "user")
    return next(filter(None, map(held_out.question, questions)), None)


def is_repeated(text: str, seen: set[bytes]) -> bool:
    """Whether the text was seen before, ignoring case; remember it."""
    key = hashlib.blake2b(text.lower().encode("utf-8"), digest_size=16).digest()
    if key in seen:
        return True
    seen.add(key)
    return False


def convert(data: Path, out: Path, include_unclear: bool = False) -> dict[str, Any]:
    """Write all rows and the manifest, and return the manifest."""
    held_out = load(data)
    manifest: dict[str, Any] = {}
    for kind, sets, rows_of in (("pretrain", PRETRAIN, documents), ("chat", CHAT, chats)):
        (out / kind).mkdir(parents=True, exist_ok=True)
        entries: dict[str, Any] = {}
        seen: set[bytes] = set()  # of all sets of a kind, since the sets overlap
        for data_set in sets:
            path = out / kind / f"{data_set.name}.jsonl"
            if data_set.is_unclear and not include_unclear:
                path.unlink(missing_ok=True)  # an earlier run may have included it
                continue
            dropped: Dropped = Counter()
            counts = write_rows(path, rows_of(data_set, data, held_out, seen, dropped))
            entries[data_set.name] = counts | {
                "license": data_set.license,
                "from": list(data_set.folders),
                "dropped": dict(sorted(dropped.items())),
            }
            rows, words = counts["rows"], counts["words"]
            print(f"{kind:9}{data_set.name:22}{rows:9,} rows{words:12,} words", file=sys.stderr)
        entries["total"] = {
            unit: sum(entry[unit] for entry in entries.values())
            for unit in ("rows", "words", "bytes")
        }
        manifest[kind] = entries
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (out / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def write_rows(path: Path, rows: Iterable[Row]) -> dict[str, Any]:
    """Write rows as JSON lines; return their number, words, bytes and hash."""
    n_rows = 0
    n_words = 0
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for row, text in rows:
            line = json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
            file.write(line)
            digest.update(line)
            n_rows += 1
            n_words += n_word(text)
        size = file.tell()
    return {"rows": n_rows, "words": n_words, "bytes": size, "sha256": digest.hexdigest()}


def main() -> None:
    """Convert the data sets that the command line names."""
    parser = argparse.ArgumentParser(description="Turn public data sets into training rows.")
    parser.add_argument("sets", type=Path, help="the folder with the data sets")
    parser.add_argument("out", type=Path, help="where pretrain/, chat/ and manifest.json go")
    parser.add_argument(
        "--include-unclear", action="store_true", help="also use the sets that state no license"
    )
    arguments = parser.parse_args()
    if not (arguments.sets / "classic-books").is_dir():
        parser.error(
            f"{arguments.sets} has no folder classic-books. Give the folder with the data sets."
        )
    totals = convert(arguments.sets, arguments.out, arguments.include_unclear)
    print(json.dumps({kind: totals[kind]["total"] for kind in totals}))


if __name__ == "__main__":
    main()
