"""Read and write the file that says how Chatwright uses an imported tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from chatwright.errors import InputError
from chatwright.tokenizer.control import CONTROL_TOKENS

SETTINGS_FILE = "chatwright_tokenizer.json"


@dataclass(frozen=True)
class ImportedSettings:
    """How an imported tokenizer is used."""

    vocab_size: int  # the model's vocabulary size
    chat_format: str | None  # a name in `chat_formats`; None: the model cannot chat
    system: str  # the chat format's default system message
    first_control_id: int | None  # first id of Chatwright's control tokens, if the model has them

    def write(self, directory: Path) -> None:
        """Write SETTINGS_FILE into `directory`."""
        settings = {
            "vocab_size": self.vocab_size,
            "chat_format": self.chat_format,
            "system": self.system,
            "control_from": self.first_control_id,
        }
        text = json.dumps(settings, indent=1) + "\n"
        (directory / SETTINGS_FILE).write_text(text, encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, directory: Path) -> ImportedSettings:
        """Read what `write` wrote. Raises InputError if the file is missing or damaged."""
        path = directory / SETTINGS_FILE
        try:
            saved = json.loads(path.read_bytes())
            settings = cls(
                saved["vocab_size"], saved["chat_format"], saved["system"], saved["control_from"]
            )
            settings._check()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path} cannot be read ({error}).",
                remedy="Import the model again.",
                field=SETTINGS_FILE,
            ) from None
        return settings

    def _check(self) -> None:
        if type(self.vocab_size) is not int:
            raise TypeError("vocab_size is not an integer")
        if not isinstance(self.chat_format, str | None):
            raise TypeError("chat_format is not a string")
        if not isinstance(self.system, str):
            raise TypeError("system is not a string")
        first = self.first_control_id
        if first is None:
            return
        if type(first) is not int or not 0 < first <= self.vocab_size - len(CONTROL_TOKENS):
            raise TypeError("control_from is not the id of the first control token")
