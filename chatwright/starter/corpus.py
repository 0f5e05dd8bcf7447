"""The starter corpus: documents for pretraining, conversations for fine-tuning, and an exam.

The exam is the held-out evaluation set.

    write_corpus(Path("starter"), size=1, seed=0)

writes pretrain.jsonl, chat.jsonl, heldout.jsonl (the exam) and manifest.json (row counts and
SHA-256). The same size and seed give the same bytes on every machine. Nothing is downloaded.
"""

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.starter.conversations import mixture
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_documents import Document, draw_fact_documents
from chatwright.starter.fact_table import make_fact_table
from chatwright.starter.general_documents import draw_general_documents
from chatwright.starter.messages import WrongReply, file_role
from chatwright.tokenizer.tool_call_text import message_text

N_DOCUMENT_CHARACTERS = 5_000_000  # at size 1
N_CONVERSATIONS = 40_000  # at size 1
FACT_DOCUMENT_SHARE = 0.55  # of the characters; the rest are general documents


@dataclass(frozen=True)
class CorpusSettings:
    """The settings that determine the training data of a corpus."""

    size: float = 1.0
    seed: int = 0
    n_conversations: int = 0
    """0 means `size` times N_CONVERSATIONS."""


def read_settings(directory: Path) -> CorpusSettings:
    """Read the settings of the corpus that `write_corpus` wrote to `directory`.

    Raises InputError if the directory has no manifest, or a damaged one.
    """
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return CorpusSettings(
            size=float(manifest["size"]),
            seed=int(manifest["seed"]),
            n_conversations=int(manifest["files"]["chat.jsonl"]["rows"]),
        )
    except FileNotFoundError:
        raise InputError(
            f"{directory} has no manifest.json, so it is not a starter corpus.",
            remedy="Give the folder that the recipe wrote, such as runs/starter/world/world.",
            field=str(directory),
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the manifest of a starter corpus: {type(error).__name__}: {error}.",
            remedy="Build the corpus again.",
            field=str(path),
        ) from None


def pretraining_documents(size: float = 1.0, seed: int = 0) -> Iterator[Document]:
    """Draw fact documents and general documents, in random alternation."""
    table = make_fact_table(size, seed)
    rng = random.Random(f"starter-prose-{seed}")
    fact_rng = random.Random(f"starter-world-prose-{seed}")
    general_rng = random.Random(f"starter-general-prose-{seed}")
    n_characters = int(N_DOCUMENT_CHARACTERS * size)
    sources = [
        draw_fact_documents(table, fact_rng, int(n_characters * FACT_DOCUMENT_SHARE)),
        draw_general_documents(general_rng, int(n_characters * (1 - FACT_DOCUMENT_SHARE))),
    ]
    while sources:
        source = rng.choice(sources)
        document = next(source, None)
        if document is None:
            sources.remove(source)
        else:
            yield document


def heldout_documents(size: float = 1.0, seed: int = 0, n_characters: int = 100_000) -> list[str]:
    """Draw texts about the same facts that are not among the pretraining documents."""
    table = make_fact_table(size, seed)
    training_texts = {document.text for document in pretraining_documents(size, seed)}
    rng = random.Random(f"starter-heldout-prose-{seed}")
    documents = draw_fact_documents(table, rng, n_characters)
    return [document.text for document in documents if document.text not in training_texts]


def training_conversations(
    size: float = 1.0, seed: int = 0, count: int = 0
) -> Iterator[tuple[Message, ...]]:
    """Draw `count` conversations; 0 means `size` times N_CONVERSATIONS."""
    table = make_fact_table(size, seed)
    rng = random.Random(f"starter-chat-{seed}")
    yield from mixture.draw_conversations(table, rng, count or int(N_CONVERSATIONS * size))


def exam_items(size: float = 1.0, seed: int = 0, n_per_skill: int = 300) -> list[ExamItem]:
    """Draw the exam about the same facts as the training data of this size and seed."""
    return mixture.draw_exam(make_fact_table(size, seed), seed, n_per_skill)


def write_corpus(
    directory: Path,
    size: float = 1.0,
    seed: int = 0,
    n_per_skill: int = 300,
    n_conversations: int = 0,
) -> dict[str, Any]:
    """Write the four files and return the manifest.

    The manifest is written last: if it exists, the other files are complete.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").unlink(missing_ok=True)
    documents = pretraining_documents(size, seed)
    conversations = training_conversations(size, seed, n_conversations)
    items = exam_items(size, seed, n_per_skill)
    files = {
        name: _write_jsonl(directory / name, rows)
        for name, rows in (
            ("pretrain.jsonl", (document.as_row() for document in documents)),
            ("chat.jsonl", (_chat_row(conversation) for conversation in conversations)),
            ("heldout.jsonl", (item.as_row() for item in items)),
        )
    }
    manifest = {"size": size, "seed": seed, "n_per_skill": n_per_skill, "files": files}
    temporary = directory / "manifest.json.tmp"
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, directory / "manifest.json")
    return manifest


def _chat_row(conversation: Iterable[Message]) -> dict[str, Any]:
    """Return a row of chat.jsonl. Training does not learn messages with weight 0."""
    return {
        "messages": [
            {"role": file_role(message), "content": message_text(message)}
            | ({"weight": 0} if isinstance(message, WrongReply) else {})
            for message in conversation
        ]
    }


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write the rows and return their count, the file's size in bytes and its SHA-256."""
    digest = hashlib.sha256()
    n_rows = 0
    n_bytes = 0
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        for row in rows:
            line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
            digest.update(line)
            file.write(line)
            n_rows += 1
            n_bytes += len(line)
    os.replace(temporary, path)
    return {"rows": n_rows, "bytes": n_bytes, "sha256": digest.hexdigest()}
