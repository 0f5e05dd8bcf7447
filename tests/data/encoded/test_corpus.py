"""Encoding texts as a stream of token ids: the ids, the validation split, and the counts."""

import hashlib
from pathlib import Path

import pytest
import torch

from chatwright.data.encoded.corpus import (
    encode_documents,
    encode_documents_split,
    encode_texts,
)
from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.rows import DataError
from chatwright.errors import InputError
from chatwright.tokenizer.byte_bpe import ByteBPE
from chatwright.tokenizer.characters import CharacterTokenizer
from tests.data.letters import LETTERS, chat, write_json_lines

SKIP = ReadOptions(skip_bad_rows=True)


def test_the_stream_matches_ids_worked_out_by_hand(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("ab")
    write_json_lines(tmp_path / "2.jsonl", [{"text": "c"}, chat("a", "b"), {"text": "def"}])
    corpus = encode_documents(tmp_path, LETTERS)
    assert corpus.stream.tolist() == [6, 0, 1, 8, 6, 2, 8, 6, 3, 4, 5, 8]
    assert corpus.stream.dtype == torch.int32
    assert (corpus.n_documents, corpus.n_bytes) == (3, 6)
    assert (corpus.n_rows_ignored, corpus.skipped) == (1, ())
    without_control = encode_documents(tmp_path, LETTERS, with_control=False)
    assert without_control.stream.tolist() == [0, 1, 2, 3, 4, 5]


def test_bytes_are_counted_in_utf8_and_the_hash_is_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é🙂", encoding="utf-8")
    corpus = encode_documents(tmp_path, ByteBPE.train(["text"], 266))
    assert corpus.n_bytes == 6
    assert len(corpus.stream) == 8
    assert corpus.sha256 == hashlib.sha256((6).to_bytes(8, "little") + "é🙂".encode()).hexdigest()


def test_hash_depends_on_the_borders_between_documents() -> None:
    hashes = {
        encode_texts(texts, LETTERS).sha256
        for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])
    }
    assert len(hashes) == 4


def test_encoding_in_batches_equals_encoding_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatwright.data.encoded.corpus.BATCH_CHARACTERS", 5)
    texts = ["abc", "d", "ef" * 10, "a", "b"]
    expected = [token_id for text in texts for token_id in [6, *LETTERS.encode(text), 8]]
    assert encode_texts(texts, LETTERS).stream.tolist() == expected


def test_a_single_document_keeps_its_end_for_validation(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefabcdef" * 5)
    train, validation = encode_documents_split(tmp_path / "a.txt", LETTERS, 0.1, with_control=False)
    whole = encode_documents(tmp_path / "a.txt", LETTERS, with_control=False)
    assert torch.equal(torch.cat([train.stream, validation.stream]), whole.stream)
    assert len(validation.stream) == 6


def test_documents_are_split_whole_and_copies_stay_together(tmp_path: Path) -> None:
    texts = [f"{'abcdef'[i % 6]}{'abcdef'[i // 6 % 6]}{'abcdef'[i // 36]}" for i in range(200)]
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts * 2])
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.1, leave_out_duplicates=False)
    assert train.n_documents + validation.n_documents == 400
    assert validation.n_documents == 40, "documents of equal size fill the fraction exactly"
    kept = {tuple(row) for row in validation.stream.view(-1, 5).tolist()}
    assert not kept & {tuple(row) for row in train.stream.view(-1, 5).tolist()}
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in reversed(texts * 2)])
    _, again = encode_documents_split(tmp_path, LETTERS, 0.1, leave_out_duplicates=False)
    assert {tuple(row) for row in again.stream.view(-1, 5).tolist()} == kept


def test_a_huge_log_leaves_most_small_texts_in_training_and_gives_its_end(tmp_path: Path) -> None:
    log = "abcdef" * 20_000
    (tmp_path / "server.txt").write_text(log)
    for i in range(50):
        (tmp_path / f"note-{i}.txt").write_text(f"{'abcdef'[i % 6]}{'abcdef'[i // 6 % 6]}" * 9)
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.02, leave_out_duplicates=False)
    n_notes = validation.n_documents - 1
    assert 1 <= n_notes <= 2, "2 % of 50 notes, not all of them"
    assert train.n_documents == 51 - n_notes
    assert validation.n_characters_by_file[str(tmp_path / "server.txt")] == len(log) // 50
    assert train.n_bytes + validation.n_bytes == len(log) + 50 * 18


def test_two_notes_beside_a_huge_log_are_not_both_held_out(tmp_path: Path) -> None:
    (tmp_path / "server.txt").write_text("abcdef" * 20_000)
    (tmp_path / "note-1.txt").write_text("fedcba" * 3)
    (tmp_path / "note-2.txt").write_text("cba" * 9)
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.02)
    assert train.n_documents == 3
    assert validation.n_documents == 3, "the end of each file"


def test_a_long_list_of_short_documents_is_split_evenly(tmp_path: Path) -> None:
    """Log lines as documents are small, so validation gets its share of lines and of texts."""
    letters = "abcdef"
    lines = [{"text": "".join(letters[i // 6**k % 6] for k in range(5)) * 2} for i in range(6_000)]
    write_json_lines(tmp_path / "log.jsonl", lines)
    write_json_lines(
        tmp_path / "texts.jsonl", [{"text": letters[i % 6] * (40 + i)} for i in range(100)]
    )
    _, validation = encode_documents_split(tmp_path, LETTERS, 0.1, leave_out_duplicates=False)
    shares = {
        Path(file).name: n_characters
        for file, n_characters in validation.n_characters_by_file.items()
    }
    assert 0.08 < shares["log.jsonl"] / 60_000 < 0.12
    assert 0.02 < shares["texts.jsonl"] / 8_950 < 0.25


def test_repeated_documents_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = [f"{'abcdef'[i % 6]}{'abcdef'[i // 6]}" for i in range(30)]
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts * 3])
    train, validation = encode_documents_split(tmp_path, LETTERS, 0.1)
    assert (train.n_documents + validation.n_documents, train.n_duplicates) == (30, 60)


def test_overlaps_with_validation_are_counted_and_left_out_on_request(tmp_path: Path) -> None:
    shared = "one two three four five six seven eight nine ten eleven twelve thirteen"
    texts = [f"document {i} begins here and {shared if i % 2 else i} ends" for i in range(40)]
    characters = CharacterTokenizer.train(texts)
    write_json_lines(tmp_path / "a.jsonl", [{"text": text} for text in texts])
    kept, validation = encode_documents_split(tmp_path, characters, 0.2)
    clean, _ = encode_documents_split(tmp_path, characters, 0.2, leave_out_overlaps=True)
    assert validation.n_documents
    assert kept.n_overlaps == clean.n_overlaps > 0
    assert kept.n_documents - clean.n_documents == kept.n_overlaps


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2])
def test_a_fraction_outside_0_and_1_is_refused(tmp_path: Path, fraction: float) -> None:
    (tmp_path / "a.txt").write_text("abc")
    with pytest.raises(InputError) as caught:
        encode_documents_split(tmp_path, LETTERS, fraction)
    assert (caught.value.field, caught.value.value) == ("validation_fraction", fraction)


def test_data_without_texts_is_an_error_that_names_every_path(tmp_path: Path) -> None:
    paths = tuple(
        write_json_lines(tmp_path / f"{name}.jsonl", [chat("a", "b")]) for name in ("x", "y")
    )
    with pytest.raises(DataError) as caught:
        encode_documents(paths, LETTERS)
    assert "x.jsonl" in caught.value.location.file
    assert "y.jsonl" in caught.value.location.file
    assert "2 rows" in caught.value.cause


def test_skipped_files_and_bad_rows_are_in_the_result(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [{"text": "a"}, {"text": ""}, {"text": ""}])
    for name in ("b.png", "c.docx", "d.docx"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError) as caught:
        encode_documents(tmp_path, LETTERS)
    assert caught.value.location.number == 2
    corpus = encode_documents(tmp_path, LETTERS, options=SKIP)
    assert corpus.n_documents == 1
    png, docx, rows = corpus.skipped
    assert "b.png" in png
    assert "2 times" in docx
    assert "d.docx" in docx
    assert "lines 2, 3" in rows


def test_real_shakespeare_is_split_at_nine_tenths(shared_data: Path) -> None:
    train, validation = encode_documents_split(
        shared_data / "tinyshakespeare",
        CharacterTokenizer.train([chr(i) for i in range(128)]),
        0.1,
        with_control=False,
    )
    assert (len(train.stream), len(validation.stream)) == (1_003_854, 111_540)
