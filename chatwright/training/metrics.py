"""metrics.jsonl: the log of a run, one JSON object per line, in step order.

After a kill and a resume, the log has neither gaps nor repeated records.
"""

import itertools
import json
import os
from pathlib import Path
from typing import Any

from chatwright.checkpoint import directory


class Metrics:
    """The open log of a run."""

    def __init__(self, path: Path, resume_after: int | None = None) -> None:
        """Open the log.

        Args:
            path: The file.
            resume_after: Step of the checkpoint to resume from. Later records are removed, because
                the resumed run writes them again. None begins an empty log.
        """
        self.path = path
        self.records: list[dict[str, Any]] = []
        if resume_after is not None:
            self.records = [record for record in read(path) if record["step"] <= resume_after]
        directory.write_text(path, "".join(json.dumps(record) + "\n" for record in self.records))
        self._stream = path.open("a", encoding="utf-8")

    def write(self, step: int, **values: Any) -> None:
        """Append a record, unless the log has one of this step with the same keys.

        A run that is killed after its last checkpoint repeats its last evaluation when it resumes.
        """
        record = {"step": step} | values
        if self._has(record):
            return
        self.records.append(record)
        self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()

    def _has(self, record: dict[str, Any]) -> bool:
        same_step = itertools.takewhile(
            lambda r: r["step"] == record["step"], reversed(self.records)
        )
        return any(r.keys() == record.keys() for r in same_step)

    def sync(self) -> None:
        """Flush the log to disk; a checkpoint must not be newer than the log."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Return all complete records; a kill may have cut the last line."""
    records: list[dict[str, Any]] = []
    if not path.exists():
        return records
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
