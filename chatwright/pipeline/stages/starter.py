"""The stage that writes the starter corpus."""

from dataclasses import dataclass
from pathlib import Path

from chatwright import starter
from chatwright.checkpoint import directory
from chatwright.pipeline.prepared_stage import FileStage, StageInputs
from chatwright.starter.prompts import draw_prompts, draw_tool_prompts, write_prompts
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
    tool_prompts: int = 0
    """Number of requests for a tool with the right call, for training on rewards: tools.jsonl."""


def prepare(config: StarterConfig, inputs: StageInputs) -> FileStage:
    """Return a stage that writes out/world."""

    def write(out: Path, watcher: Watcher) -> Path:
        watcher.say("writing the starter corpus: texts and conversations")
        with directory.atomic_directory(out / "world") as building:
            starter.write_corpus(
                building, config.size, config.seed, n_conversations=config.conversations
            )
            if config.prompts:
                rows = draw_prompts(config.prompts, config.seed)
                write_prompts(building / "prompts.jsonl", rows)
            if config.tool_prompts:
                table = starter.make_fact_table(config.size, config.seed)
                requests = draw_tool_prompts(table, config.tool_prompts, config.seed)
                write_prompts(building / "tools.jsonl", requests)
        return out

    return FileStage(write)
