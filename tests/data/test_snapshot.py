"""A snapshot is read as it was written; any changed byte is found; nothing is overwritten."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from chatwright.data.encoded.preferences import encode_preferences_split
from chatwright.data.readers.data_source import DEFAULTS
from chatwright.data.readers.row_reader import read_kind
from chatwright.data.rows import ChatRow, DataError, PreferenceRow
from chatwright.data.snapshot import is_snapshot, read_snapshot, write_snapshot
from chatwright.errors import InputError
from chatwright.tokenizer.characters import CharacterTokenizer
from tests.data.feedback_examples import correction, ranking, thumb

FEEDBACK = [
    ranking("ann", "Name a color.", ("Bl\u00fc\u2028e.", "Dog.\r", ""), (1, 2, 3)),
    thumb("bob", "Name a dog.", "Rex.", True),
    correction("ann", "Name a cat.", "Rex.", "Tom."),
]


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_snapshot(tmp_path / "a.jsonl", FEEDBACK)
    read = read_snapshot(tmp_path / "a.jsonl")
    assert read == written
    assert list(read.feedback) == FEEDBACK
    assert [item.location.number for item in read.feedback] == [2, 3, 4]
    assert not read.is_simulated
    assert os.listdir(tmp_path) == ["a.jsonl"], "no temporary file is left"


def test_the_hash_is_that_of_the_lines_and_of_the_chain(tmp_path: Path) -> None:
    first = write_snapshot(tmp_path / "a.jsonl", FEEDBACK[:1])
    second = write_snapshot(tmp_path / "b.jsonl", FEEDBACK, previous=first)
    body = (tmp_path / "b.jsonl").read_bytes().split(b"\n", 1)[1]
    assert second.previous == first.sha256
    assert second.sha256 == hashlib.sha256(first.sha256.encode() + body).hexdigest()
    alone = write_snapshot(tmp_path / "c.jsonl", FEEDBACK)
    assert alone.sha256 == hashlib.sha256(body).hexdigest()


def test_equal_feedback_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write_snapshot(tmp_path / name, FEEDBACK)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_changed_missing_or_added_byte_is_found(tmp_path: Path) -> None:
    before = write_snapshot(tmp_path / "a.jsonl", FEEDBACK[1:2])
    write_snapshot(tmp_path / "b.jsonl", FEEDBACK[1:2], previous=before)
    whole = (tmp_path / "b.jsonl").read_bytes()
    path = tmp_path / "changed.jsonl"
    for position in range(0, len(whole), 3):
        for changed in (
            whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :],
            whole[:position],
            whole[:position] + b" " + whole[position:],
        ):
            path.write_bytes(changed)
            with pytest.raises(DataError) as caught:
                read_snapshot(path)
            assert caught.value.location.file == str(path)
    path.write_bytes(whole + b"\n")
    with pytest.raises(DataError):
        read_snapshot(path)


def test_a_snapshot_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(InputError) as caught:
        write_snapshot(path, FEEDBACK)
    assert caught.value.field == "out"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(("name", "n"), [("a.jsonl", 0), ("a.csv", 3), ("no/a.jsonl", 3)])
def test_an_impossible_snapshot_is_refused(tmp_path: Path, name: str, n: int) -> None:
    with pytest.raises(InputError) as caught:
        write_snapshot(tmp_path / name, FEEDBACK[:n])
    assert caught.value.field == "out"
    assert not os.listdir(tmp_path)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="28"):
        write_snapshot(tmp_path / "a.jsonl", FEEDBACK)
    assert not os.listdir(tmp_path)


def test_stages_read_the_rows_of_a_snapshot_and_refuse_a_changed_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_snapshot(path, FEEDBACK)
    assert is_snapshot(path)
    pairs = read_kind(PreferenceRow, path, DEFAULTS, name="pairs", remedy="none")
    assert (len(pairs.rows), pairs.n_ignored) == (4, 1)
    chats = read_kind(ChatRow, path, DEFAULTS, name="conversations", remedy="none")
    assert [row.messages[-1].text for row in chats.rows] == ["Tom."]
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_kind(PreferenceRow, packed, DEFAULTS, name="pairs", remedy="").rows
    path.write_bytes(path.read_bytes().replace(b"Rex", b"Max", 1))
    with pytest.raises(DataError) as caught:
        read_kind(PreferenceRow, path, DEFAULTS, name="pairs", remedy="none")
    assert caught.value.field == "sha256"


def test_another_file_is_no_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    assert not is_snapshot(path)
    assert not is_snapshot(tmp_path / "none.jsonl")
    for name in (path, tmp_path / "none.jsonl"):
        with pytest.raises(DataError):
            read_snapshot(name)


def test_a_reply_that_the_tokenizer_cannot_write_is_an_error_with_its_line(tmp_path: Path) -> None:
    texts = [("ab", "ba")] * 5 + [("ab", "\u732b")]
    prompts = [chr(ord("a") + number) for number in range(6)]
    feedback = [ranking("ann", *pair) for pair in zip(prompts, texts, strict=True)]
    path = tmp_path / "a.jsonl"
    write_snapshot(path, feedback)
    tokenizer = CharacterTokenizer.train(["abcdef"])
    with pytest.raises(DataError) as caught:
        encode_preferences_split(path, tokenizer, 100, 0.3)
    assert caught.value.location.number == 7
