"""A conversation in a file of its own: one JSON object, which is also one row of training data.

Saving overwrites nothing; loading takes only what a reply could go on from. Every refusal names the file, the cause and a remedy.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from chatwright.conversation import Message
from chatwright.tokenizer.chat_template import require_order
from chatwright.tokenizer.text import require_unicode

EXPECTED = 'Expected {"messages": [{"role": "user", "content": "..."}, ...]}, as /save writes it.'


def save(path: Path, messages: Sequence[Message]) -> None:
    row = {"messages": [{"role": message.role, "content": message.content} for message in messages]}
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise ValueError(
            f"{path} exists already and is left as it is. Give another name."
        ) from None
    except FileNotFoundError:
        raise ValueError(
            f"{path}: there is no folder {path.parent}. Make it first, or name another."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}). Give a name in a folder where you may write."
        ) from None
    try:
        with file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        with suppress(OSError):
            path.unlink()  # half a conversation would only be in the way of the next attempt
        raise ValueError(
            f"{path}: could not be written to its end ({error.strerror}); nothing is left of it. "
            "Make room or name another place."
        ) from None


def load(path: Path) -> list[Message]:
    return _messages(path, _json(path, _text(path)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file. Give the path of a conversation that /save wrote."
        ) from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder. Give the path of a file in it.") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not text in UTF-8 (at byte {error.start}). Convert it, or give another file."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}). Correct the path or the file's permissions."
        ) from None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}: not JSON (line {error.lineno}, column {error.colno}: {error.msg}). {EXPECTED}"
        ) from None
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply to be a conversation. {EXPECTED}") from None


def _messages(path: Path, row: Any) -> list[Message]:
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        raise ValueError(
            f'{path}: not a saved conversation (no list called "messages"). {EXPECTED}'
        )
    messages = []
    for number, item in enumerate(row["messages"]):
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("role"), str)
            or not isinstance(item.get("content"), str)
        ):
            raise ValueError(
                f'{path}: not a saved conversation (turn {number} lacks "role" or "content", or they are no text). {EXPECTED}'
            )
        messages.append(Message(item["role"], item["content"]))  # require_order knows the roles
    try:
        require_order(messages)
        for message in messages:
            require_unicode(message.content)
    except ValueError as error:
        raise ValueError(f"{path}: not a conversation to go on from: {error}.") from None
    return messages
