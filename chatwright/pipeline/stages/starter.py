"""The stage that writes the starter corpus."""

from dataclasses import dataclass
from pathlib import Path

from chatwright import starter
from chatwright.checkpoint import directory
from chatwright.pipeline.prepared_stage import FileStage, StageInputs
from chatwright.starter.prompts import write_prompts
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class StarterConfig:
    """Settings of the starter corpus."""

    size: float = 1.0
    """Size of the corpus; 0.5 has half of the people, towns and texts."""
    seed: int = 0
    """Seed of all facts and sentences."""
    conversations: int = 0
    """Number of conversations; 0: a number proportional to `size`."""
    prompts: int = 0
    """Number of arithmetic prompts with answers, for training on rewards: prompts.jsonl."""


def prepare(config: StarterConfig, inputs: StageInputs) -> FileStage:
    """Return a stage that writes out/world."""

    def write(out: Path, watcher: Watcher) -> Path:
        watcher.say("writing the starter corpus: texts and conversations")
        with directory.atomic_directory(out / "world") as building:
            starter.write_corpus(
                building, config.size, config.seed, n_conversations=config.conversations
            )
            if config.prompts:
                write_prompts(building / "prompts.jsonl", config.prompts, config.seed)
        return out

    return FileStage(write)
