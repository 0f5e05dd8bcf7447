"""metrics.jsonl: one JSON object a line, in step order, without gap or repeat across kills and resumes."""

import itertools
import json
import os
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory


class Metrics:
    """Append records; on resuming, what was written after the checkpoint's step is cut off, because it will be written again."""

    def __init__(self, path: Path, resume_after: int | None = None) -> None:
        self.path = path
        self.records = (
            [] if resume_after is None else [r for r in read(path) if r["step"] <= resume_after]
        )
        directory.write_text(path, "".join(json.dumps(record) + "\n" for record in self.records))
        self._stream = path.open("a", encoding="utf-8")

    def write(self, step: int, **values: Any) -> None:
        record = {"step": step} | values
        if self._holds(
            record
        ):  # a run killed after its last checkpoint evaluates again when it goes on
            return
        self.records.append(record)
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def _holds(self, record: dict[str, Any]) -> bool:
        same_step = itertools.takewhile(
            lambda r: r["step"] == record["step"], reversed(self.records)
        )
        return any(r.keys() == record.keys() for r in same_step)

    def sync(self) -> None:
        """Call before a checkpoint is committed, so that the log is never behind it."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All whole records; a line cut by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
