"""Results by key in a file that only grows, so that an interrupted computation continues.

Each line is {"key": ..., "value": ...}. A result is on the disk before `kept[key] = value` returns.
The last line may be torn after a crash; it is dropped and computed again.
"""

import json
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from chatwright.durable_file import sync_open_file
from chatwright.errors import InputError


class KeptResults(MutableMapping[str, Any]):
    """A dictionary of JSON values, kept in a file."""

    def __init__(self, path: Path) -> None:
        """Read the results at `path`, if it exists; InputError if a line is no kept result."""
        self.path = path
        self.results: dict[str, Any] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self.results[entry["key"]] = entry["value"]
            except (ValueError, LookupError, TypeError):
                raise InputError(
                    f"{self.path}, line {number}: this is no kept result.",
                    remedy="Delete the file; its results are then computed again.",
                    field=str(self.path),
                    value=number,
                ) from None
        if len(whole) < len(content):
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def __getitem__(self, key: str) -> Any:
        return self.results[key]

    def __setitem__(self, key: str, value: Any) -> None:
        line = json.dumps({"key": key, "value": value}, ensure_ascii=False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line + "\n")
            sync_open_file(file)
        self.results[key] = value

    def __delitem__(self, key: str) -> None:
        raise NotImplementedError("results are kept")

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)
