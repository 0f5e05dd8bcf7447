"""Where training data is, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chatwright.data.readers.encoding import require_encoding
from chatwright.errors import InputError

DataSource = Path | tuple[Path, ...]
"""A file or folder, or several, which are read one after another."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read the files of a data source."""

    encoding: str = ""
    """Encoding of files that are not UTF-8, such as "cp1252"; "": UTF-8 or a byte order mark."""
    rename_columns: Mapping[str, str] = field(default_factory=dict)
    """New names of columns: rename_columns.customer=prompt reads the column customer as prompt."""
    skip_bad_rows: bool = False
    """Leave out rows that cannot be read, and report each, instead of stopping at the first."""

    def __post_init__(self) -> None:
        """Raise InputError for an unknown encoding or an ambiguous renaming."""
        require_encoding(self.encoding)
        targets = list(self.rename_columns.values())
        for target in targets:
            if targets.count(target) > 1:
                raise InputError(
                    f"rename_columns gives two columns the name {target!r}.",
                    remedy="Give each column a name of its own.",
                    field="rename_columns",
                    value=dict(self.rename_columns),
                )

    @property
    def read_options(self) -> ReadOptions:
        """A plain copy of these settings, for subclasses that have further settings."""
        return ReadOptions(
            encoding=self.encoding,
            rename_columns=self.rename_columns,
            skip_bad_rows=self.skip_bad_rows,
        )


DEFAULTS = ReadOptions()


def parse_columns(text: str) -> dict[str, str]:
    """Parse "customer=prompt,agent=completion" as {"customer": "prompt", "agent": "completion"}.

    Raises InputError if a part is not OLD=NEW.
    """
    columns: dict[str, str] = {}
    for part in text.split(",") if text.strip() else []:
        old, equals, new = (piece.strip() for piece in part.rpartition("="))
        if not (old and equals and new):
            raise InputError(
                f"--columns: {part.strip()!r} does not have the form OLD=NEW.",
                remedy="Write for example customer=prompt,agent=completion.",
                field="columns",
                value=text,
            )
        columns[old] = new
    return columns


def paths_of(source: DataSource) -> tuple[Path, ...]:
    """Return the paths of a data source."""
    return source if isinstance(source, tuple) else (Path(source),)


def describe_source(source: DataSource) -> str:
    """Return the paths as text for a message: "a.jsonl and b.jsonl"."""
    return " and ".join(map(str, paths_of(source)))
