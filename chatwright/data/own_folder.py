"""What a folder of one's own begins with: example files of every row shape, and rows that say who the model is.

The examples are about a small bakery that does not exist, written by us. Their names begin with EXAMPLE, so that a person sees at once
what to replace; nothing inside a text says so, because the model would learn to say it too.
"""

import json
import shutil
from pathlib import Path

ROWS = Path(__file__).parent / "example_rows"
EXAMPLE = "example-"
IDENTITY = "identity.jsonl"

# What each example shows, in the order a person should look at them.
SHOWN = {
    "example-opening-hours.txt": "plain text: one file is one document",
    "example-bread.txt": "the same",
    "example-sweets.txt": "the same",
    "example-history.md": "Markdown: read as it is, signs included",
    "example-people.md": "the same",
    "example-sourdough.md": "the same",
    "example-notes.jsonl": 'many short texts in one file, one {"text": ...} a line',
    "example-messages.jsonl": "conversations as messages: several turns, a system message, a command and its result",
    "example-prompt-completion.jsonl": "one question and one answer a line",
    "example-questions.csv": "the same as a table, as a spreadsheet saves it",
    "example-alpaca.json": "Alpaca's shape: instruction, input, output",
    "example-sharegpt.jsonl": "ShareGPT's shape: conversations with from and value",
    "example-preferences.jsonl": "a better and a worse answer to one question; no stage of this recipe reads these yet",
}


def write_examples(into: Path) -> None:
    for name in SHOWN:
        shutil.copyfile(ROWS / name, into / name)


def write_identity(into: Path, assistant: str, about: str) -> None:
    """`about` completes "I am here to ..."."""

    def said(text: str) -> str:
        return text.replace("{assistant}", assistant).replace("{about}", about)

    rows = [json.loads(line) for line in (ROWS / IDENTITY).read_text(encoding="utf-8").splitlines()]
    told = [
        {
            "messages": [
                message | {"content": said(message["content"])} for message in row["messages"]
            ]
        }
        for row in rows
    ]
    (into / IDENTITY).write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told), encoding="utf-8"
    )
