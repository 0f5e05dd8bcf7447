"""Describe the settings of a config dataclass: key, type, default and meaning.

The meaning of a field is the string directly below it (an attribute docstring):

    steps: int = 1000
    \"\"\"Number of optimizer steps.\"\"\"

`chatwright train KIND --help-settings` and docs/reference/configuration.md print them.
"""

import ast
import dataclasses
import inspect
import json
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

# Metadata keys that `table_of` writes.
TABLE_OF = "table_of"
EXTRA_KEYS = "extra_keys"
# Type -> its description in the singular and in the plural.
SCALAR_WORDS = {
    int: ("whole number", "whole numbers"),
    float: ("number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "texts"),
    Path: ("path", "paths"),
    type(None): ("nothing", "nothing"),
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a config class, described for a user."""

    key: str
    """Dotted key, for example loop.optimizer.learning_rate."""
    type: str
    """The allowed values in plain words, for example "whole number"."""
    default: str
    """The default in TOML notation, "required", or "not set"."""
    meaning: str
    """What the setting does, with unit."""


def table_of(cls: type, **extra_keys: str) -> dict[str, Any]:
    """Return metadata for a field that holds a table (a dictionary) with the keys of `cls`.

    An example is a stage's `model` table, whose defaults depend on the preset that `size` names:

        model: dict[str, Any] = field(
            default_factory=dict, metadata=table_of(GPTConfig, size="Name of a preset.")
        )

    Args:
        cls: The dataclass whose fields the table may name.
        extra_keys: Further keys, each with its meaning.
    """
    return {TABLE_OF: cls, EXTRA_KEYS: extra_keys}


def settings_of(cls: type, defaults: object = None, prefix: str = "") -> list[Setting]:
    """List every setting of a config dataclass, those of nested config classes included.

    Settings that the class inherits come after its own.

    Args:
        cls: The dataclass.
        defaults: An instance, or a table, whose values replace the defaults of the class.
        prefix: Beginning of each key, for example "loop.".
    """
    settings: list[Setting] = []
    meanings = field_meanings(cls)
    hints = get_type_hints(cls)
    declared = inspect.get_annotations(cls)  # without inherited fields
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in declared):
        key = prefix + field.name
        default = _default_of(field, defaults)
        nested = nested_config(field, hints[field.name])
        if nested is None or not dataclasses.is_dataclass(default):
            type_words = "table" if nested else describe_type(hints[field.name])
            shown = _default_as_toml(default)
            settings.append(Setting(key, type_words, shown, meanings.get(field.name, "")))
        if nested is not None:
            settings += _extra_settings(field, default, f"{key}.")
            settings += settings_of(nested, default, f"{key}.")
    return settings


def _extra_settings(
    field: dataclasses.Field[Any], default: object, prefix: str
) -> Iterator[Setting]:
    table = default if isinstance(default, Mapping) else {}
    for name, meaning in field.metadata.get(EXTRA_KEYS, {}).items():
        shown = _default_as_toml(table.get(name))
        yield Setting(prefix + name, "text", shown, meaning)


def nested_config(field: dataclasses.Field[Any], hint: Any) -> type | None:
    """Return the config dataclass whose keys `field` may hold; None if it holds no table."""
    if TABLE_OF in field.metadata:
        declared: type = field.metadata[TABLE_OF]
        return declared
    for option in get_args(hint) or (hint,):
        if dataclasses.is_dataclass(option):
            return typing.cast(type, option)
    return None


def nested_configs(cls: type) -> dict[str, tuple[type, frozenset[str]]]:
    """Map each field of `cls` that holds a table to the table's class and its extra keys."""
    hints = get_type_hints(cls)
    tables: dict[str, tuple[type, frozenset[str]]] = {}
    for field in dataclasses.fields(cls):
        nested = nested_config(field, hints[field.name])
        if nested is not None:
            tables[field.name] = (nested, frozenset(field.metadata.get(EXTRA_KEYS, ())))
    return tables


def dotted_keys(cls: type, prefix: str = "") -> list[str]:
    """List every key that a table for `cls` may hold, nested ones with dots."""
    nested = nested_configs(cls)
    keys: list[str] = []
    for field in dataclasses.fields(cls):
        keys.append(prefix + field.name)
        if field.name in nested:
            inner, extra_keys = nested[field.name]
            inner_prefix = f"{prefix}{field.name}."
            keys += [inner_prefix + name for name in sorted(extra_keys)]
            keys += dotted_keys(inner, inner_prefix)
    return keys


@cache
def field_meanings(cls: type) -> dict[str, str]:
    """Read the docstring below each field of a class and of the classes it inherits from."""
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            meanings |= _meanings_in(base)
    return meanings


def _meanings_in(cls: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # a class made at run time, or an installation without sources
        return {}
    [definition] = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    meanings: dict[str, str] = {}
    for statement, below in zip(definition.body, definition.body[1:], strict=False):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            meanings[statement.target.id] = " ".join(str(below.value.value).split())
    return meanings


def describe_type(hint: Any, plural: bool = False) -> str:
    """Return a type hint in plain words: `tuple[int, ...]` is "list of whole numbers"."""
    if hint in SCALAR_WORDS:
        return SCALAR_WORDS[hint][plural]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(_as_toml(option) for option in arguments)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in arguments if option is not type(None)]
        return " or ".join(dict.fromkeys(describe_type(option, plural) for option in options))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"list of {len(arguments)} {describe_type(arguments[0], plural=True)}"
    if origin in (tuple, list):
        return f"list of {describe_type(arguments[0], plural=True)}"
    return "table"


def _default_of(field: dataclasses.Field[Any], defaults: object) -> object:
    if isinstance(defaults, Mapping) and field.name in defaults:
        return defaults[field.name]
    if dataclasses.is_dataclass(defaults):
        return getattr(defaults, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _default_as_toml(value: object) -> str:
    if value is dataclasses.MISSING:
        return "required"
    return "not set" if value is None else _as_toml(value)


def _as_toml(value: object) -> str:
    """Write a value in TOML notation, which equals JSON for everything except tables."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{name} = {_as_toml(inner)}" for name, inner in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value, default=str, ensure_ascii=False)
