"""Turn the public data sets of ../shared/data into training rows for recipes/chat-real.toml.

    python recipes/chat_real_data.py ../shared/data OUT [--include-unclear]

    OUT/pretrain/*.jsonl   {"text": ...}, one document of at most a chapter per line
    OUT/chat/*.jsonl       {"messages": [{"role": ..., "content": ...}, ...]}
    OUT/manifest.json      per set: rows, words, bytes, licence, sha256, the files it came from, what was dropped and why

About 20 million words and fifty thousand conversations in about a minute; standard library only; the same bytes every time. The
readers live in recipes/chat_real_sets/, one function per set.

Never read: hh-rlhf-harmless-test (offensive), auto-j (adult prompts), alpaca-5000 and Alpaca-GPT4 (non-commercial). Evaluation sets are
read only to be avoided: no row shares 13 words in a row with one, and no chat asks one of its questions. falseqa, the Reddit jokes and
LLaMA-Factory's preferred answers state no licence; they are used only with --include-unclear. The licences of the rest are in the
manifest; several ask for attribution or sharing alike, and a model trained on all of them carries all of them.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat_real_sets import conversations, facts, identity, instructions, prose
from chat_real_sets.cleaning import BROKEN, OFFENSIVE, Dropped, Turn, n_word
from chat_real_sets.held_out import HeldOut, load

LONGEST_TURN = {"system": 120, "user": 250, "assistant": 200, "command": 60, "result": 120}  # words
LONGEST_CONVERSATION = 600
# Who may speak after whom; "" is the beginning.
MAY_FOLLOW = {
    "system": ("",),
    "user": ("", "system", "assistant"),
    "assistant": ("user", "result"),
    "command": ("user", "result"),
    "result": ("command",),
}


@dataclass(frozen=True)
class DataSet:
    name: str
    read: Callable[[Path, Dropped], Iterator[Any]]  # documents, or conversations
    folders: tuple[str, ...]  # under the data folder
    licence: str
    is_unclear: bool = False


PRETRAIN = (
    DataSet("classic-books", prose.classic_books, ("classic-books",), "public domain"),
    DataSet("openstax", prose.openstax, ("openstax",), "CC BY 4.0 (OpenStax, Rice University)"),
    DataSet("pratham-stories", prose.pratham_stories, ("pratham-stories",), "CC BY 4.0 (Pratham Books StoryWeaver)"),
    DataSet("tinystories", prose.tinystories, ("tinystories-sample",), "CDLA-Sharing-1.0; capitals restored by rule"),
    DataSet("factbook", facts.factbook_prose, ("factbook",), "public domain (CIA World Factbook)"),
    DataSet("open-trivia-qa", facts.trivia_prose, ("open-trivia-qa",), "CC BY-SA 4.0"),
    DataSet("masc", prose.masc, ("nltk-corpora",), "free for education, research and development, also commercial (MASC)"),
    DataSet("speeches", prose.speeches, ("nltk-corpora",), "public domain"),
    DataSet("dialogues", conversations.plain_dialogues, ("synthetic-persona-chat", "topical-chat", "schema-guided-dialogue"),
            "CC BY 4.0; CDLA-Sharing-1.0; CC BY-SA 4.0"),
)  # fmt: skip
CHAT = (
    DataSet("identity", identity.identity, (), "MIT (written for this project)"),
    DataSet("dolly", instructions.dolly, ("dolly-subset",), "CC BY-SA 3.0 (Databricks Dolly 15k)"),
    DataSet("raschka-instructions", instructions.raschka, ("raschka-instructions",), "Apache-2.0"),
    DataSet("chatterbot", conversations.chatterbot, ("chatterbot-corpus",), "BSD-3-Clause"),
    DataSet("persona-chat", conversations.persona_chat, ("synthetic-persona-chat",), "CC BY 4.0"),
    DataSet("topical-chat", conversations.topical_chat, ("topical-chat",), "CDLA-Sharing-1.0"),
    DataSet("gpteacher-roleplay", instructions.gpteacher_roleplay, ("gpteacher",), "MIT; written by GPT-4"),
    DataSet("gpteacher-toolformer", conversations.toolformer, ("gpteacher",), "MIT; written by GPT-4"),
    DataSet("glaive-commands", conversations.glaive, ("llamafactory-demos",), "Apache-2.0"),
    DataSet("gsm8k", instructions.gsm8k, ("gsm8k",), "MIT"),
    DataSet("task-dialogues", conversations.task_dialogues, ("schema-guided-dialogue",), "CC BY-SA 4.0"),
    DataSet("safety-refusals", instructions.safety_refusals, ("safety-refusals",), "MIT; machine-generated"),
    DataSet("jokes", instructions.jokes, ("jokes-clean",), "MIT (official_joke_api)"),
    DataSet("glossary", facts.glossary, ("openstax",), "CC BY 4.0 (OpenStax, Rice University)"),
    DataSet("factbook", facts.factbook_chat, ("factbook",), "public domain (CIA World Factbook)"),
    DataSet("trivia", facts.trivia_chat, ("open-trivia-qa",), "CC BY-SA 4.0"),
    DataSet("stories", conversations.stories, ("tinystories-sample",), "CDLA-Sharing-1.0; capitals restored by rule"),
    DataSet("t0", instructions.t0, ("t0-50k",), "Apache-2.0 (P3); the underlying data sets keep their own terms"),
    DataSet("falseqa", instructions.falseqa, ("falseqa",), "unstated", is_unclear=True),
    DataSet("llamafactory-chosen", instructions.llamafactory_chosen, ("llamafactory-demos",), "unstated for the answers", is_unclear=True),
    DataSet("reddit-jokes", instructions.reddit_jokes, ("jokes-clean",), "unstated", is_unclear=True),
)  # fmt: skip


def fault(turns: list[Turn]) -> str | None:
    """Why a conversation cannot be used, if it cannot."""
    before = ""
    for turn in turns:
        role, content = turn["role"], turn["content"]
        if before not in MAY_FOLLOW[role]:
            return "turns out of order"
        if not content.strip():
            return "empty turn"
        if n_word(content) > LONGEST_TURN[role]:
            return f"{role} turn over {LONGEST_TURN[role]} words"
        if BROKEN.search(content):
            return "broken characters"
        if OFFENSIVE.search(content):
            return "offensive word"
        before = role
    if before not in ("assistant", "command"):
        return "ends without an answer"
    if sum(n_word(turn["content"]) for turn in turns) > LONGEST_CONVERSATION:
        return f"over {LONGEST_CONVERSATION} words"
    return None


def documents(
    data_set: DataSet, data: Path, held_out: HeldOut, seen: set[bytes], dropped: Dropped
) -> Iterator[tuple[dict[str, Any], str]]:
    for text in data_set.read(data, dropped):
        if source := held_out.source(text):
            dropped[f"shares 13 words with {source}"] += 1
        elif is_repeated(text, seen):
            dropped["duplicate"] += 1
        else:
            yield {"text": text}, text


def chats(
    data_set: DataSet, data: Path, held_out: HeldOut, seen: set[bytes], dropped: Dropped
) -> Iterator[tuple[dict[str, Any], str]]:
    for turns in data_set.read(data, dropped):
        text = "\n".join(turn["content"] for turn in turns)
        if reason := fault(turns):
            dropped[reason] += 1
        elif source := held_out.source(text):
            dropped[f"shares 13 words with {source}"] += 1
        elif source := next(
            (
                found
                for turn in turns
                if turn["role"] == "user" and (found := held_out.question(turn["content"]))
            ),
            None,
        ):
            dropped[f"asks a question of {source}"] += 1
        elif is_repeated(text, seen):
            dropped["duplicate"] += 1
        else:
            yield {"messages": turns}, text


def is_repeated(text: str, seen: set[bytes]) -> bool:
    key = hashlib.blake2b(text.lower().encode("utf-8"), digest_size=16).digest()
    if key in seen:
        return True
    seen.add(key)
    return False


def convert(data: Path, out: Path, include_unclear: bool = False) -> dict[str, Any]:
    """Write everything; return the manifest."""
    held_out = load(data)
    manifest: dict[str, Any] = {"pretrain": {}, "chat": {}}
    for kind, data_sets, rows_of in (("pretrain", PRETRAIN, documents), ("chat", CHAT, chats)):
        (out / kind).mkdir(parents=True, exist_ok=True)
        seen: set[bytes] = set()  # over all sets of a kind: the sets overlap
        for data_set in data_sets:
            path = out / kind / f"{data_set.name}.jsonl"
            if data_set.is_unclear and not include_unclear:
                path.unlink(missing_ok=True)  # left by an earlier run that included it
                continue
            dropped: Dropped = Counter()
            rows = words = 0
            digest = hashlib.sha256()
            with open(path, "wb") as file:
                for row, text in rows_of(data_set, data, held_out, seen, dropped):
                    line = json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
                    file.write(line)
                    digest.update(line)
                    rows, words = rows + 1, words + n_word(text)
                size = file.tell()
            manifest[kind][data_set.name] = {
                "rows": rows, "words": words, "bytes": size, "licence": data_set.licence, "sha256": digest.hexdigest(),
                "from": list(data_set.folders), "dropped": dict(sorted(dropped.items())),
            }  # fmt: skip
            print(f"{kind:9}{data_set.name:22}{rows:9,} rows{words:12,} words", file=sys.stderr)
        manifest[kind]["total"] = {
            unit: sum(entry[unit] for entry in manifest[kind].values())
            for unit in ("rows", "words", "bytes")
        }
    (out / "manifest.json").write_text(
        json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn the public data sets into training rows.")
    parser.add_argument(
        "data", type=Path, help="the folder with the data sets, for example ../shared/data"
    )
    parser.add_argument("out", type=Path, help="where pretrain/, chat/ and manifest.json go")
    parser.add_argument(
        "--include-unclear", action="store_true", help="also use the sets whose licence is unstated"
    )
    arguments = parser.parse_args()
    if not (arguments.data / "classic-books").is_dir():
        parser.error(
            f"{arguments.data} holds no folder classic-books; give the folder that holds the data sets and their README"
        )
    totals = convert(arguments.data, arguments.out, arguments.include_unclear)
    print(json.dumps({kind: totals[kind]["total"] for kind in totals}))


if __name__ == "__main__":
    main()
