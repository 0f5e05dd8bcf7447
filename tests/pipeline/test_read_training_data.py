"""Messages report which training data are kept for validation and which are left out."""

import json
from pathlib import Path
from typing import Any

from chatwright.data.readers.data_source import ReadOptions
from chatwright.pipeline.prepared_stage import StageInputs
from chatwright.pipeline.read_training_data import read_conversations, read_texts
from chatwright.pipeline.stages.classify import ClassifyConfig
from chatwright.pipeline.stages.classify import _read as read_for_classify
from chatwright.pipeline.stages.tokenizer import TokenizerConfig
from chatwright.pipeline.stages.tokenizer import prepare as prepare_tokenizer
from chatwright.tokenizer.characters import CharacterTokenizer
from chatwright.training.watcher import Watcher

LETTERS = CharacterTokenizer("abcdef")
SKIP = ReadOptions(skip_bad_rows=True)


def write_json_lines(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def test_the_files_of_validation_texts_are_named(tmp_path: Path) -> None:
    (tmp_path / "server.txt").write_text("abcdef" * 20_000)
    for i in range(50):
        (tmp_path / f"note-{i}.txt").write_text("abcdef"[i % 6] * (i + 1))
    lines: list[str] = []
    read_texts(str(tmp_path), LETTERS, Watcher(say=lines.append), 0.02, ReadOptions())
    [line] = [line for line in lines if line.startswith("validation on")]
    assert "server.txt" in line
    assert "note-" in line


def test_rows_and_files_left_out_for_the_same_reason_are_reported_together(tmp_path: Path) -> None:
    texts = [{"text": "abcdef"[i % 6] * (i + 1)} for i in range(60)]
    write_json_lines(tmp_path / "a.jsonl", [*texts, {"text": ""}, {"text": ""}])
    for name in ("a.docx", "b.docx"):
        (tmp_path / name).write_bytes(b"")
    lines: list[str] = []
    read_texts(str(tmp_path), LETTERS, Watcher(say=lines.append), 0.1, SKIP)
    left_out = [line for line in lines if line.startswith("left out")]
    assert len(left_out) == 2
    assert all("2 times" in line for line in left_out)


def test_conversations_without_an_answer_to_learn_are_reported(tmp_path: Path) -> None:
    pairs = [(a, b) for a in "abcdef" for b in "abcdef"]
    records: list[Any] = [{"prompt": f"{a}{b}", "completion": "a"} for a, b in pairs]
    records[:30] = [record | {"train": False} for record in records[:30]]
    path = write_json_lines(tmp_path / "a.jsonl", records)
    lines: list[str] = []
    train, held_out = read_conversations(
        path, LETTERS, Watcher(say=lines.append), 50, 0.3, ReadOptions()
    )
    assert train.n_not_learned + held_out.n_not_learned == 30
    assert any(f"{train.n_not_learned} conversations" in line for line in lines)


def test_validation_rows_that_repeat_training_rows_are_left_out_and_reported(
    tmp_path: Path,
) -> None:
    texts = [f"text number {i}" for i in range(10)]
    rows: list[Any] = [{"text": text, "label": f"label {i % 2}"} for i, text in enumerate(texts)]
    lines: list[str] = []
    warnings: list[str] = []
    watcher = Watcher(say=lines.append, warn=warnings.append)
    data = write_json_lines(tmp_path / "train.jsonl", rows[:7])
    validation = write_json_lines(tmp_path / "validation.jsonl", rows[4:])
    train, kept = read_for_classify(ClassifyConfig(data=data, validation=validation), watcher)
    assert [row.text for row in train] == texts[:7]
    assert [row.text for row in kept] == texts[7:]
    assert any("3 repeat" in line for line in lines)
    assert not warnings
    _, kept = read_for_classify(ClassifyConfig(data=data, validation=data), watcher)
    assert len(kept) == 7, "if all rows are repeats, they are kept with a warning"
    assert len(warnings) == 1


def test_a_tokenizer_is_trained_on_the_readable_rows_and_others_are_reported(
    tmp_path: Path,
) -> None:
    write_json_lines(tmp_path / "a.jsonl", [{"text": "abc"}, {"text": ""}])
    (tmp_path / "b.docx").write_bytes(b"")
    lines: list[str] = []
    watcher = Watcher(say=lines.append)
    config = TokenizerConfig(data=str(tmp_path), tokens="characters", skip_bad_rows=True)
    stage = prepare_tokenizer(config, StageInputs(out=tmp_path / "out", watcher=watcher))
    stage.run(tmp_path / "out", watcher)
    assert sum(line.startswith("left out") for line in lines) == 2
