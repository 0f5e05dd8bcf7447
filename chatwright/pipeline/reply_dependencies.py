"""What the bytes of a reply depend on, besides the request: weights, tokenizer, build, machine."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chatwright.checkpoint import model_directory
from chatwright.devices import environment
from chatwright.engine.invariance_cache import source_hash
from chatwright.model.packed_weight import FLOAT32
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class ReplyDependencies:
    """What the replies of one model directory on this machine depend on."""

    weights: str
    """SHA-256 of the weights; for an adapter, of its own and its base's."""
    tokenizer: str
    """SHA-256 of the tokenizer's files, the chat format included."""
    build: dict[str, str]
    """Hash of our source code, versions, processor, number of threads, format of the weights."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, with the names of a receipt."""
        return {"weights": self.weights, "tokenizer": self.tokenizer, "build": self.build}


def reply_dependencies(found: Path, weight_format: str = FLOAT32.name) -> ReplyDependencies:
    """Return what replies depend on if the weights are stored in memory in this format."""
    return ReplyDependencies(
        model_directory.weights_hash(found),
        tokenizer_hash(load_tokenizer(found)),
        build(weight_format),
    )


def build(weight_format: str = FLOAT32.name) -> dict[str, str]:
    """Describe what computes: source code, torch, processor, threads, format of the weights."""
    return {"source": source_hash(), **environment(), "weight_format": weight_format}


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """Return the SHA-256 of the files of a tokenizer, by their names in order."""
    total = hashlib.sha256()
    with TemporaryDirectory() as folder:
        tokenizer.save(Path(folder))
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                total.update(file.name.encode() + b"\0")
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
