"""The starter corpus: prose to pretrain on, conversations to tune on, items to be examined with.

    write(Path("starter"), size=1, seed=0)

writes pretrain.jsonl, chat.jsonl, heldout.jsonl and manifest.json (counts and SHA-256). The same size and seed give the
same bytes on every machine. Everything is made here; nothing is downloaded.
"""

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chatwright.conversation import Message
from chatwright.starter import conversations, general
from chatwright.starter.fact_table import make_world
from chatwright.starter.item import Item, MistakenAnswer, old_role, to_json
from chatwright.starter.prose import Document, world_documents
from chatwright.tokenizer.tool_call_text import message_text

PROSE_CHARACTERS = 5_000_000  # at size 1
CONVERSATIONS = 40_000
WORLD_SHARE = 0.55  # of the prose; the rest is general


@dataclass(frozen=True)
class Drawn:
    """Which world, and how many conversations about it (0: as many as belong to a world of this size)."""

    size: float = 1.0
    seed: int = 0
    n_conversation: int = 0


def drawn_at(directory: Path) -> Drawn:
    """What `write` left there. Raises ValueError where it left nothing."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
        return Drawn(
            float(manifest["size"]),
            int(manifest["seed"]),
            int(manifest["files"]["chat.jsonl"]["rows"]),
        )
    except FileNotFoundError:
        raise ValueError(
            f"{directory}: holds no starter world (manifest.json). Give the folder a recipe wrote, for example "
            "runs/starter/world/world."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{directory / 'manifest.json'}: not a starter world's ({type(error).__name__}: {error}). Build the world again."
        ) from None


def pretraining_documents(size: float = 1.0, seed: int = 0) -> Iterator[Document]:
    """World prose and general prose, mixed evenly so that any prefix is a fair sample."""
    world, rng = make_world(size, seed), random.Random(f"starter-prose-{seed}")
    characters = int(PROSE_CHARACTERS * size)
    sources = [
        world_documents(
            world, random.Random(f"starter-world-prose-{seed}"), int(characters * WORLD_SHARE)
        ),
        general.documents(
            random.Random(f"starter-general-prose-{seed}"), int(characters * (1 - WORLD_SHARE))
        ),
    ]
    while sources:
        source = rng.choice(sources)
        document = next(source, None)
        if document is None:
            sources.remove(source)
        else:
            yield document


def heldout_prose(size: float = 1.0, seed: int = 0, characters: int = 100_000) -> list[str]:
    """Prose about the same world that training does not hold: other draws, and no document that training has word for word."""
    world = make_world(size, seed)
    trained = {document.text for document in pretraining_documents(size, seed)}
    drawn = world_documents(world, random.Random(f"starter-heldout-prose-{seed}"), characters)
    return [document.text for document in drawn if document.text not in trained]


def training_conversations(
    size: float = 1.0, seed: int = 0, count: int = 0
) -> Iterator[tuple[Message, ...]]:
    """`count` of them, or as many as belong to a world of this size."""
    world = make_world(size, seed)
    yield from conversations.training(
        world, random.Random(f"starter-chat-{seed}"), count or int(CONVERSATIONS * size)
    )


def heldout_items(size: float = 1.0, seed: int = 0, n_per_skill: int = 300) -> list[Item]:
    """Items about the same world as the training data of the same size and seed."""
    return conversations.held_out(make_world(size, seed), seed, n_per_skill)


def write(
    directory: Path,
    size: float = 1.0,
    seed: int = 0,
    n_per_skill: int = 300,
    n_conversation: int = 0,
) -> dict[str, Any]:
    """Write the four files and return the manifest, which is written last: where it is, the others are whole."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").unlink(missing_ok=True)
    files = {
        "pretrain.jsonl": _lines(
            directory / "pretrain.jsonl",
            (asdict(document) for document in pretraining_documents(size, seed)),
        ),
        "chat.jsonl": _lines(
            directory / "chat.jsonl",
            (
                {
                    "messages": [
                        {"role": old_role(m), "content": message_text(m)}
                        | ({"weight": 0} if isinstance(m, MistakenAnswer) else {})
                        for m in conversation
                    ]
                }
                for conversation in training_conversations(size, seed, n_conversation)
            ),
        ),
        "heldout.jsonl": _lines(
            directory / "heldout.jsonl",
            (to_json(item) for item in heldout_items(size, seed, n_per_skill)),
        ),
    }
    manifest = {"size": size, "seed": seed, "n_per_skill": n_per_skill, "files": files}
    beside = directory / "manifest.json.tmp"
    beside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, directory / "manifest.json")
    return manifest


def _lines(path: Path, rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    digest, count, size = hashlib.sha256(), 0, 0
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as file:
        for row in rows:
            line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
            digest.update(line)
            file.write(line)
            count, size = count + 1, size + len(line)
    os.replace(beside, path)
    return {"rows": count, "bytes": size, "sha256": digest.hexdigest()}
