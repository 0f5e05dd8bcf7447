"""A folder with the small data files that the documented commands read."""

import gzip
import json
from pathlib import Path


def write_workspace(folder: Path) -> None:
    """Write texts, conversations, preferences, prompts, pairs and labeled texts into a folder."""
    _write_own_folder(folder / "my-folder")
    _write_multi30k(folder / "multi30k")
    (folder / "sentences.txt").write_text("Un homme voit deux chiens.\nUn chien dort.\n")
    pairs = [f"Un homme voit {i} chiens.\tA man sees {i} dogs.\n" for i in range(100)]
    (folder / "my-pairs.tsv").write_text("".join(pairs))
    preferences = [
        {"prompt": f"When does boat {i} leave?", "chosen": f"At {i}.", "rejected": "I forget."}
        for i in range(20)
    ]
    lines = [json.dumps(row) + "\n" for row in preferences]
    (folder / "my-preferences.jsonl").write_text("".join(lines))
    prompts = [
        {"prompt": f"When does boat {i} leave?", "answer": f"At {i} o'clock."}
        for i in range(40, 60)
    ]
    (folder / "my-prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    thumbs = [
        {"prompt": f"When does boat {i} leave?", "completion": reply, "label": reply != "I forget."}
        for i in range(20)
        for reply in (f"At {i}.", "I forget.")
    ]
    (folder / "my-thumbs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in thumbs))


def _write_own_folder(folder: Path) -> None:
    folder.mkdir()
    for i in range(12):
        note = f"Note {i}. The boat number {i} leaves at {i} o'clock. It carries {i} dogs.\n"
        (folder / f"note-{i}.txt").write_text(note * 6)
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"When does boat {i} leave?"},
                {"role": "assistant", "content": f"At {i} o'clock."},
            ]
        }
        for i in range(40)
    ]
    (folder / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_multi30k(folder: Path) -> None:
    folder.mkdir()
    for split in ("train", "val"):
        for language, sentence in (
            ("fr", "Un homme voit {} chiens."),
            ("en", "A man sees {} dogs."),
        ):
            text = "".join(sentence.format(i) + "\n" for i in range(20))
            (folder / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))
