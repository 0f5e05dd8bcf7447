"""Read TOML files and `key=value` overrides into frozen dataclasses.

A file states only differences from the defaults, and overrides replace the values of the file.
An unknown key is an error that suggests the nearest known one. A table, here as in TOML, is a
dictionary of settings that may hold further tables.
"""

import dataclasses
import difflib
import json
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from chatwright.errors import InputError
from chatwright.settings import (
    Setting,
    dotted_keys,
    nested_configs,
    settings_of,
    table_of,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "RENAMED_KEYS",
    "Setting",
    "build",
    "merge",
    "parse_overrides",
    "read_toml",
    "rename_old_keys",
    "settings_of",
    "table_of",
    "to_table",
    "unquoted",
]

T = TypeVar("T")

# Keys that had another name in earlier versions, by the dataclass that holds them. Saved configs,
# recipes and commands with the old spelling still load, with a DeprecationWarning.
RENAMED_KEYS: dict[str, dict[str, str]] = {
    "GPTConfig": {"width": "d_model", "hidden": "d_ff", "unrotated_layers": "nope_layers"},
    "EncoderConfig": {
        "width": "d_model",
        "hidden": "d_ff",
        "task": "head",
        "first_position": "position_offset",
        "embedding_width": "embedding_size",
        "projects": "projected",
        "neighbours": "trigram_input",
        "narrow_values": "bottleneck_values",
    },
    "EncoderDecoderConfig": {"width": "d_model", "hidden": "d_ff"},
    "SkipGramConfig": {"width": "d_model"},
    "LoopConfig": {"judged_by": "monitor"},
    "AlarmConfig": {"steps": "batches", "start_steps": "start_batches"},
}

# Values that had another spelling in earlier versions, by dataclass and current key.
RENAMED_VALUES: dict[str, dict[str, dict[Any, Any]]] = {
    "EncoderConfig": {
        "head": {"masked-lm": "masked_lm", "classify": "labels", "embed": "none"},
    },
    "LoopConfig": {"monitor": {"guessed_right": "accuracy"}},
}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as a table.

    Raises:
        InputError: The file does not exist or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file.",
            remedy="Give the path of a .toml file, or the name of a packaged recipe: own-data.",
            field=str(path),
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: the file is not valid TOML: {error}.",
            remedy="Correct that line.",
            field=str(path),
        ) from None


def unquoted(text: str) -> str:
    """Remove quotes around a path, which terminals add when a file is dragged into them."""
    is_quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """Parse `["steps=20", "model.n_layer=2"]` into `{"steps": 20, "model": {"n_layer": 2}}`.

    Values are TOML; a value that is not valid TOML is taken as a string.

    Raises:
        InputError: A pair is not of the form key=value, or a key is both a value and a section.
    """
    table: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(
                f"{pair!r} is not a setting: expected key=value.",
                remedy="Write for example loop.steps=200 or model.n_layer=4.",
                value=pair,
            )
        *sections, name = key.split(".")  # a.b.c=1 sets c in the section a.b
        inner = table
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise InputError(
                    f"{pair!r}: {section} already has a value, so it cannot also be a section.",
                    remedy="Remove one of the two settings.",
                    field=key,
                    value=text,
                )
        inner[name] = _parse_value(text)
    return table


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two tables. Where both have a value, the one in `upper` replaces the other."""
    merged = dict(lower)
    for key, value in upper.items():
        old = merged.get(key)
        both_tables = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both_tables and isinstance(old, dict) else value
    return merged


def build(cls: type[T], table: Mapping[str, Any], source: str) -> T:
    """Build a frozen dataclass from a table.

    Args:
        cls: The dataclass.
        table: Its values, with nested tables for nested dataclasses.
        source: Where the table comes from (a file, a section); every error message begins with it.

    Raises:
        InputError: A key is unknown, or a value is not allowed.
    """
    # pydantic takes a tenth of a second to import, which `chatwright --help` must not spend.
    from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

    table = rename_old_keys(cls, table, source)
    _require_known_keys(cls, table, source)
    if not hasattr(cls, "__pydantic_config__"):
        cls = with_config(ConfigDict(extra="forbid"))(cls)
    try:
        return TypeAdapter(cls).validate_python(dict(table))
    except ValidationError as error:
        raise _input_error(cls, error.errors()[0], source) from None


def _input_error(cls: type, details: "ErrorDetails", source: str) -> InputError:
    """Turn pydantic's description of the first wrong value into an InputError."""
    field = ".".join(_field_path(cls, details["loc"]))
    cause = details["msg"].removeprefix("Value error, ")
    raised = details.get("ctx", {}).get("error")
    if isinstance(raised, InputError):
        # A nested dataclass names its field alone ("steps") or with its table ("loop.steps").
        is_full = bool(field) and raised.field.startswith(f"{field}.")
        full_field = raised.field if is_full else ".".join(filter(None, (field, raised.field)))
        named = f"{field}: " if field and not is_full else ""
        return InputError(
            f"{source}: {named}{raised.problem}",
            remedy=raised.remedy,
            field=full_field,
            value=raised.value,
        )
    if raised is not None:  # __post_init__ raised this error; its message names field and value
        named = f"{field}: " if field else ""
        return InputError(f"{source}: {named}{cause}", field=field, value=details["input"])
    return InputError(
        f"{source}: {field} = {details['input']!r}: {cause}.",
        remedy="Change the value, or remove the key.",
        field=field,
        value=details["input"],
    )


def _field_path(cls: type, location: Iterable[int | str]) -> list[str]:
    """Keep the field names of an error's location; drop the names that pydantic adds for unions."""
    path: list[str] = []
    level: type | None = cls
    for part in location:
        if level is None or part not in {field.name for field in dataclasses.fields(level)}:
            break
        path.append(str(part))
        level = nested_configs(level).get(str(part), (None,))[0]
    return path


def rename_old_keys(cls: type, table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the table with current names for old keys and values, in nested tables too.

    Raises:
        InputError: The table holds a key under both its old and its current name.
    """
    renamed = RENAMED_KEYS.get(cls.__name__, {})
    renamed_values = RENAMED_VALUES.get(cls.__name__, {})
    nested = nested_configs(cls)
    current: dict[str, Any] = {}
    for key, value in table.items():
        name = renamed.get(key, key)
        if name != key:
            if name in table:
                raise InputError(
                    f"{source}: {key} is the old name of {name}, and both are set.",
                    remedy=f"Remove {key}.",
                    field=key,
                    value=value,
                )
            message = f"{source}: {key} is now called {name}."
            warnings.warn(message, DeprecationWarning, stacklevel=2)
        if name in nested and isinstance(value, Mapping):
            value = rename_old_keys(nested[name][0], value, f"{source}: {name}")
        if name in renamed_values and isinstance(value, str):
            value = renamed_values[name].get(value, value)
        current[name] = value
    return current


def _require_known_keys(cls: type, table: Mapping[str, Any], source: str) -> None:
    """Raise InputError for the first unknown key of the table or of a table inside it."""
    all_keys = dotted_keys(cls)
    pending: list[tuple[str, Mapping[str, Any]]] = [("", table)]
    while pending:
        prefix, level = pending.pop()
        for name, value in level.items():
            key = prefix + name
            if key not in all_keys:
                raise _unknown_key(key, all_keys, source)
            is_section = any(other.startswith(f"{key}.") for other in all_keys)
            if is_section and isinstance(value, Mapping):
                pending.append((f"{key}.", value))


def _unknown_key(key: str, known: list[str], source: str) -> InputError:
    prefix, _, name = key.rpartition(".")
    siblings = [other for other in known if other.rpartition(".")[0] == prefix]
    same_name = [other for other in known if other.rpartition(".")[2] == name]
    near = same_name or difflib.get_close_matches(key, siblings, n=1)
    if near:
        remedy = f"Did you mean {' or '.join(near)}?"
    else:
        remedy = f"Known keys: {', '.join(sorted(siblings))}."
    return InputError(f"{source}: unknown key {key!r}.", remedy=remedy, field=key)


def to_table(config: Any) -> dict[str, Any]:
    """Convert a dataclass to plain data that JSON can hold."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
