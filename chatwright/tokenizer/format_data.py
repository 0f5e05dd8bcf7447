"""A chat format as data: what stands between the texts of a conversation, as strings.

`templates/derive.py` makes it from a model's own template, and `chat_formats.py` holds those of
known models. It is saved as JSON in the model's directory; `build_format.py` turns it into ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1
MAX_TEXT = 100_000
"""Longest string of a format, in characters."""
EMPTY_SYSTEM = ("text", "none", "refused")


@dataclass(frozen=True)
class LayoutData:
    """The tokens between two texts, and which white space is trimmed from them."""

    separators: Mapping[str, str]
    """By the kinds of the two texts, for example "user>assistant"; see `chat_format.Layout`."""
    trims: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What is trimmed from the two texts beside a separator; see `chat_format.Separator`."""


@dataclass(frozen=True)
class FormatData:
    """A chat format as strings. Strings that are special tokens become their ids."""

    layout: LayoutData
    """If a request does not say whether the model is to think."""
    thinking_on: LayoutData | None = None
    """With thinking switched on, where the model can be switched."""
    thinking_off: LayoutData | None = None
    """With thinking switched off."""
    thinking_tags: tuple[str, str] | None = None
    """What begins and ends the thinking."""
    thinking_way: str = ""
    """How the template takes thinking: "field", "inline", "" if it leaves thinking out."""
    default_system: str = ""
    """System text that conversations without one get."""
    empty_system: str = "text"
    """What an empty system text does: "text", "none" as if there were none, "refused"."""
    system_goes_last: bool = False
    """Whether the system text is in the last user turn."""
    date: str = ""
    """The date that the template wrote when the format was derived; "" if it writes none."""
    stops: tuple[str, ...] = ()
    """Special tokens that end a reply, besides the one that ends an answer."""

    def to_json(self) -> dict[str, Any]:
        """Return the format as JSON."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, saved: Any) -> FormatData:
        """Return the format that `to_json` wrote. Raises TypeError if it is malformed."""
        values = dict(_mapping(saved))
        if values.pop("version", None) != VERSION:
            raise TypeError(f"the chat format's version is not {VERSION}")
        if values.keys() != cls.__dataclass_fields__.keys():
            raise TypeError("the chat format has other fields")
        for name in ("layout", "thinking_on", "thinking_off"):
            values[name] = _layout(values[name], is_optional=name != "layout")
        tags = values["thinking_tags"]
        if tags is not None:
            values["thinking_tags"] = (_text(tags[0]), _text(tags[1]))
        values["stops"] = tuple(_text(stop) for stop in values["stops"])
        for name in ("thinking_way", "default_system", "empty_system", "date"):
            _text(values[name])
        if (
            values["empty_system"] not in EMPTY_SYSTEM
            or type(values["system_goes_last"]) is not bool
        ):
            raise TypeError("the chat format's system prompt is malformed")
        return cls(**values)


def _layout(saved: Any, is_optional: bool) -> LayoutData | None:
    if saved is None and is_optional:
        return None
    values = _mapping(saved)
    separators = {_pair(key): _text(text) for key, text in _mapping(values["separators"]).items()}
    trims = {
        _pair(key): (_text(before), _text(after))
        for key, (before, after) in _mapping(values["trims"]).items()
    }
    return LayoutData(separators, trims)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("a part of the chat format is not an object")
    return value


def _pair(key: str) -> str:
    if key.count(">") != 1:
        raise TypeError("a separator's key does not name two kinds of texts")
    return key


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TypeError("a part of the chat format is not a text, or is too long")
    return value
