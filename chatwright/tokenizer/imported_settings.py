"""Read and write the file that says how Chatwright uses an imported tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.errors import InputError
from chatwright.tokenizer.chat_formats import DERIVED
from chatwright.tokenizer.control import CONTROL_TOKENS
from chatwright.tokenizer.format_data import FormatData

SETTINGS_FILE = "chatwright_tokenizer.json"


@dataclass(frozen=True)
class ImportedSettings:
    """How an imported tokenizer is used."""

    vocab_size: int
    """The model's vocabulary size."""
    chat_format: str | None = None
    """A name in `chat_formats`, or DERIVED; None: the model cannot chat."""
    system: str | None = None
    """Replaces the chat format's default system text; None: it stays."""
    first_control_id: int | None = None
    """First id of Chatwright's control tokens, if the model has them."""
    format_data: FormatData | None = None
    """The format that was derived from the model's template, if `chat_format` is DERIVED."""
    format_problem: str = ""
    """Why no format could be derived from the model's template."""

    def write(self, directory: Path) -> None:
        """Write SETTINGS_FILE into `directory`."""
        settings = {
            "vocab_size": self.vocab_size,
            "chat_format": self.chat_format,
            "system": self.system,
            "control_from": self.first_control_id,
            "format": self.format_data.to_json() if self.format_data else None,
            "format_problem": self.format_problem,
        }
        text = json.dumps(settings, indent=1) + "\n"
        (directory / SETTINGS_FILE).write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, directory: Path) -> ImportedSettings:
        """Read what `write` wrote. Raises InputError if the file is missing or damaged."""
        path = directory / SETTINGS_FILE
        try:
            settings = cls._from_json(json.loads(path.read_bytes()))
            settings._check()
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path} cannot be read ({error}).",
                remedy="Import the model again.",
                field=SETTINGS_FILE,
            ) from None
        return settings

    @classmethod
    def _from_json(cls, saved: dict[str, Any]) -> ImportedSettings:
        system = saved["system"]
        if "format" not in saved and system == "":
            system = None  # earlier versions wrote "" for the format's own system text
        data = saved.get("format")
        return cls(
            saved["vocab_size"],
            saved["chat_format"],
            system,
            saved["control_from"],
            None if data is None else FormatData.from_json(data),
            saved.get("format_problem", ""),
        )

    def _check(self) -> None:
        if type(self.vocab_size) is not int:
            raise TypeError("vocab_size is not an integer")
        if not isinstance(self.chat_format, str | None):
            raise TypeError("chat_format is not a string")
        if not isinstance(self.system, str | None) or not isinstance(self.format_problem, str):
            raise TypeError("system or format_problem is not a string")
        if (self.chat_format == DERIVED) != (self.format_data is not None):
            raise TypeError("chat_format and format do not belong together")
        first = self.first_control_id
        if first is None:
            return
        if type(first) is not int or not 0 < first <= self.vocab_size - len(CONTROL_TOKENS):
            raise TypeError("control_from is not the id of the first control token")
