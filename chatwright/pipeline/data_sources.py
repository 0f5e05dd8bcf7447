"""Settings that name files and directories of data."""

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from chatwright.data.readers.data_source import DataSource

DataSources = str | tuple[str, ...]
"""What a recipe may write for data: one file or directory, or a list of them."""


def to_data_source(written: DataSources) -> DataSource:
    """Return the path or the paths that a setting names."""
    return Path(written) if isinstance(written, str) else tuple(map(Path, written))


def written_paths(value: DataSources | None) -> list[str]:
    """Return the paths a setting names, as they were written."""
    return [value] if isinstance(value, str) and value else list(value or ())


def data_source_keys(config_class: type[Any]) -> list[str]:
    """Return the settings of a stage that name data."""
    hints = get_type_hints(config_class)
    fields = dataclasses.fields(config_class)
    return [field.name for field in fields if hints[field.name] == DataSources]
