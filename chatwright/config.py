"""TOML files and `key=value` overrides into frozen dataclasses, with errors a person can act on.

A file states only differences from the defaults; an unknown key is an error that names the nearest known one;
overrides win. The dataclasses live beside the classes they configure; this file only validates.
"""

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises ValueError naming file, line and cause."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file. Give the path of a .toml file, or the name of a recipe that ships, for example own-data.") from None
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
            raise ValueError(f"override {pair!r}: expected key=value, for example steps=200 or model.n_layer=4.")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        place = table
        *parents, leaf = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ValueError(f"override {pair!r}: {parent} already has a value, so it cannot also be a section.")
        place[leaf] = value
    return table


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one; where both speak, `above` wins."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """A frozen dataclass from a table; `where` (a file, a section) opens every message."""
    require_known(cls, table, where)
    try:
        strict = with_config(ConfigDict(extra="forbid"))(cls) if not hasattr(cls, "__pydantic_config__") else cls
        return TypeAdapter(strict).validate_python(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole)"
        cause = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a __post_init__ speaks for itself
            raise ValueError(f"{where}: {cause}") from None
        raise ValueError(f"{where}: {field} = {first['input']!r}: {cause}. Correct the value or remove the key.") from None


def require_known(cls: type, keys: Iterable[str], where: str) -> None:
    known = {f.name for f in dataclasses.fields(cls)}
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(known))}."
            raise ValueError(f"{where}: unknown key {key!r}. {hint}")


def to_table(config: Any) -> dict[str, Any]:
    """A dataclass as plain data, for saving beside the result."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))
