"""Settings that name files and directories of data."""

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

from chatwright.data.readers.data_source import DataSource

DataSources = str | tuple[str, ...]
"""Type of a setting that names data: one file or directory, or several of them."""


def to_data_source(value: DataSources) -> DataSource:
    """Convert the value of such a setting to a path, or to several paths."""
    return Path(value) if isinstance(value, str) else tuple(map(Path, value))


def path_strings(value: DataSources | None) -> list[str]:
    """Return the value of such a setting as a list of strings; placeholders stay in them."""
    return [value] if isinstance(value, str) and value else list(value or ())


def data_source_keys(config_class: type[Any]) -> list[str]:
    """Return the names of a stage's settings that name data."""
    hints = get_type_hints(config_class)
    fields = dataclasses.fields(config_class)
    return [field.name for field in fields if hints[field.name] == DataSources]
