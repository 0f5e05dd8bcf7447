"""Parse and check single values of a record. Errors name the column, never the text in it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from chatwright.data.readers.record import Record
from chatwright.data.rows import DataError, Location, MissingColumns

RENAME = "rename columns with --columns OLD=NEW (in a recipe: rename_columns = {OLD = 'NEW'})"


def parse_json(text: str, location: Location) -> Any:
    """Parse JSON. Raises DataError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _invalid_json(error, location) from None
    except RecursionError:
        raise DataError(
            location, "the JSON is nested too deeply", "flatten it to one of the known row shapes"
        ) from None
    except ValueError as error:  # an integer of thousands of digits
        raise DataError(
            location, f"invalid JSON ({error})", "write long numbers as texts"
        ) from None


def _invalid_json(error: json.JSONDecodeError, location: Location) -> DataError:
    if error.msg == "Extra data" and location.number is None:
        return DataError(
            location,
            f"line {error.lineno} begins a second JSON value",
            "rename the file to .jsonl if it has one object per line",
        )
    line = f"line {error.lineno}, " if location.number is None else ""
    return DataError(
        location,
        f"invalid JSON at {line}column {error.colno} ({error.msg})",
        "correct the JSON; a .jsonl file has one object per line",
    )


def require_columns(record: Record, names: Sequence[str], remedy: str) -> Mapping[str, Any]:
    """Return the values of a record by column. Raises DataError if a column is missing."""
    values = record.values
    if not isinstance(values, Mapping):
        example = ", ".join(f'"{name}": "..."' for name in names)
        raise DataError(
            record.location,
            f"the row is {kind_of(values)}, not an object with named columns",
            f"write {{{example}}}",
        )
    missing = [name for name in names if name not in values]
    if missing:
        raise MissingColumns(
            record.location,
            values,
            remedy,
            cause=f"there is no column {' and no column '.join(missing)} among the columns found",
        )
    return values


def require_string(value: Any, column: str, location: Location) -> str:
    """Return the value. Raises DataError unless it is a text of valid Unicode."""
    if not isinstance(value, str):
        raise DataError(
            location,
            f"{column} is {kind_of(value)}, not a text",
            "write it as a text in quotes",
            field=column,
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            location,
            f"{column} holds half a surrogate pair (like \\ud800), which is not valid Unicode",
            "replace that escape",
            field=column,
        ) from None
    return value


def require_filled(texts: Mapping[str, str], remedy: str, location: Location) -> None:
    """Raise DataError if one of the texts, given by column, is empty."""
    for name, text in texts.items():
        if not text:
            raise DataError(location, f"the {name} is empty", remedy, field=name)


def require_number(value: Any, column: str, location: Location) -> float:
    """Return a number, which a table may hold as a text. Raises DataError unless it is finite."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(
            location,
            f"the {column} is not a finite number",
            "write it with digits and a decimal point, such as 0.75",
            field=column,
        )
    return number


def kind_of(value: Any) -> str:
    """Return the type of a JSON value in words: "a list", "null"."""
    names = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), f"a {type(value).__name__}")
