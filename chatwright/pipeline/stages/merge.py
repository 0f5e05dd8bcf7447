"""The stage that merges the adapter of an earlier stage into its base."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chatwright.checkpoint import directory, run_directory
from chatwright.checkpoint.lock import writer_lock
from chatwright.pipeline.data_sources import DataSources, to_data_source
from chatwright.pipeline.merge import merge
from chatwright.pipeline.prepared_stage import FileStage, StageInputs
from chatwright.training.watcher import Watcher


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """Settings of merging an adapter."""

    data: DataSources = ""
    """Texts or conversations on which merged and unmerged model are compared."""


def prepare(config: MergeConfig, inputs: StageInputs) -> FileStage:
    """Prepare the merge of the parent's adapter."""
    assert inputs.parent is not None, "a merge needs an adapter"
    return FileStage(partial(_write, config, inputs.parent))


def _write(config: MergeConfig, adapter: Path, out: Path, watcher: Watcher) -> Path:
    """Write out/model, and out/run.json, so that `out` is read as the directory of a run."""
    watcher.say("merging the adapter into its base")
    data = to_data_source(config.data) if config.data else None
    model = out / run_directory.MODEL
    with writer_lock(out):
        directory.recover(out)
        if model.exists():  # an interrupted build wrote it
            directory.remove(model)
        gap = merge(adapter, model, data)
        settings = json.dumps({"stage": {"kind": "merge"}, "adapter": str(adapter)}, indent=1)
        directory.write_text(out / run_directory.RUN_FILE, settings)
    watcher.say(f"merged and unmerged logits: {gap}")
    return out
