"""TOML files and `key=value` overrides into frozen dataclasses, with errors a person can act on.

A file states only differences from the defaults; an unknown key is an error that names the nearest known one;
overrides win. The dataclasses live beside the classes they configure; this file only validates.
"""

import dataclasses
import difflib
import json
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

T = TypeVar("T")

# Keys that had another name in earlier versions, by the dataclass that holds them. Saved configs, recipes
# and commands with the old spelling still load, with a DeprecationWarning.
RENAMED_KEYS: dict[str, dict[str, str]] = {
    "GPTConfig": {"width": "d_model", "hidden": "d_ff", "unrotated_layers": "nope_layers"},
    "EncoderConfig": {"width": "d_model", "hidden": "d_ff"},
    "EncoderDecoderConfig": {"width": "d_model", "hidden": "d_ff"},
    "SkipGramConfig": {"width": "d_model"},
    "LoopConfig": {"judged_by": "monitor"},
}


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ValueError naming file, line and cause."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file. Give the path of a .toml file, or the name of a recipe that ships, for example own-data."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML: {error}. Correct that line.") from None


def unquoted(text: str) -> str:
    """A name as it is meant where a person, or a terminal into which a file was dragged, put it in quotes."""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"" else text


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """`["steps=20", "model.n_layer=2"]` -> `{"steps": 20, "model": {"n_layer": 2}}`; values are TOML, bare words are strings."""
    table: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ValueError(
                f"override {pair!r}: expected key=value, for example steps=200 or model.n_layer=4."
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        place = table
        *parents, leaf = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(
                    f"override {pair!r}: {parent} already has a value, so it cannot also be a section."
                )
        place[leaf] = value
    return table


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one; where both speak, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
        )
    return merged


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """A frozen dataclass from a table; `where` (a file, a section) opens every message."""
    table = with_current_names(cls, table, where)
    require_known(cls, table, where)
    try:
        strict = (
            with_config(ConfigDict(extra="forbid"))(cls)
            if not hasattr(cls, "__pydantic_config__")
            else cls
        )
        return TypeAdapter(strict).validate_python(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole)"
        cause = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a __post_init__ speaks for itself
            raise ValueError(f"{where}: {cause}") from None
        raise ValueError(
            f"{where}: {field} = {first['input']!r}: {cause}. Correct the value or remove the key."
        ) from None


def with_current_names(cls: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The table with renamed keys under their current names, in nested tables too.

    Raises:
        ValueError: The table holds a key under both its old and its current name.
    """
    renamed = RENAMED_KEYS.get(cls.__name__, {})
    nested = _nested_configs(cls)
    current: dict[str, Any] = {}
    for key, value in table.items():
        name = renamed.get(key, key)
        if name != key:
            if name in table:
                raise ValueError(f"{where}: {key} is the old name of {name}. Remove {key}.")
            warnings.warn(f"{where}: {key} is now called {name}.", DeprecationWarning, stacklevel=2)
        if name in nested and isinstance(value, Mapping):
            value = with_current_names(nested[name], value, f"{where}: {name}")
        current[name] = value
    return current


def _nested_configs(cls: type) -> dict[str, type]:
    """Fields of `cls` whose type is a dataclass or an optional one."""
    hints = get_type_hints(cls)
    found: dict[str, type] = {}
    for field in dataclasses.fields(cls):
        options = get_args(hints[field.name]) or (hints[field.name],)
        for option in options:
            if isinstance(option, type) and dataclasses.is_dataclass(option):
                found[field.name] = option
    return found


def require_known(cls: type, keys: Iterable[str], where: str) -> None:
    known = {f.name for f in dataclasses.fields(cls)}
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = (
                f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(known))}."
            )
            raise ValueError(f"{where}: unknown key {key!r}. {hint}")


def to_table(config: Any) -> dict[str, Any]:
    """A dataclass as plain data, for saving beside the result."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
