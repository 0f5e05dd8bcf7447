"""A tiny vocabulary and small data files for the tests of this folder."""

import json
from pathlib import Path
from typing import Any

from chatwright.tokenizer.characters import CharacterTokenizer

LETTERS = CharacterTokenizer("abcdef")
"""The ids of a to f are 0 to 5; <bos> is 6, <end> is 8 (see test_chat_template)."""


def write_json_lines(path: Path, records: list[Any]) -> Path:
    """Write one JSON value a line and return the path."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def chat(*contents: str) -> dict[str, Any]:
    """Return a record with user and assistant turns in alternation."""
    return {
        "messages": [
            {"role": ("user", "assistant")[index % 2], "content": content}
            for index, content in enumerate(contents)
        ]
    }
