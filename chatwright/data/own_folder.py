"""Files for a new data folder: examples of every row shape, and identity rows.

The examples are about an invented bakery. Their file names begin with EXAMPLE, so that you see
which to replace. No text calls itself an example, since the model would learn to say so.
"""

import json
import shutil
from pathlib import Path

ROWS = Path(__file__).parent / "example_rows"
EXAMPLE = "example-"
"""The beginning of the names of example files."""
IDENTITY = "identity.jsonl"

SHOWN = {
    "example-opening-hours.txt": "plain text: one file is one document",
    "example-bread.txt": "the same",
    "example-sweets.txt": "the same",
    "example-history.md": "Markdown: read as it is, with its markup",
    "example-people.md": "the same",
    "example-sourdough.md": "the same",
    "example-notes.jsonl": 'many short texts in one file, one {"text": ...} a line',
    "example-messages.jsonl": (
        "conversations as messages: several turns, a system message, a tool call and its result"
    ),
    "example-prompt-completion.jsonl": "one question and one answer a line",
    "example-questions.csv": "the same as a table, as a spreadsheet saves it",
    "example-alpaca.json": "Alpaca's shape: instruction, input, output",
    "example-sharegpt.jsonl": "ShareGPT's shape: conversations with from and value",
    "example-preferences.jsonl": (
        "a better and a worse answer to one question, for chatwright train dpo"
    ),
}
"""What each example file shows, in the order in which to read them."""


def write_examples(folder: Path) -> None:
    """Copy the example files into a folder."""
    for name in SHOWN:
        shutil.copyfile(ROWS / name, folder / name)


def write_identity(folder: Path, assistant: str, about: str) -> None:
    """Write conversations in which the model says who it is.

    Args:
        folder: Where to write them.
        assistant: The model's name.
        about: The end of the sentence "I am here to ...".
    """

    def filled(text: str) -> str:
        return text.replace("{assistant}", assistant).replace("{about}", about)

    lines = []
    for line in (ROWS / IDENTITY).read_text(encoding="utf-8").splitlines():
        messages = json.loads(line)["messages"]
        messages = [message | {"content": filled(message["content"])} for message in messages]
        lines.append(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    (folder / IDENTITY).write_text("".join(lines), encoding="utf-8")
