"""Labelled texts come out of every kind of file alike, and what is wrong is named with its place."""

import gzip
from pathlib import Path

import pytest

from chatwright.data.encoded_labels import encode_labelled
from chatwright.data.labelled import LabelledText, label_names, read_labelled, split_labelled
from chatwright.data.rows import DataError, Location
from chatwright.tokenizer import wordpiece
from chatwright.tokenizer.encoder_tokens import split_evenly

PAIRS = [("a fine film", "good"), ('he said "no", twice', "bad"), ("and\tthat is all", "good")]
FILES = {
    "a.jsonl": '{"text": "a fine film", "label": "good", "more": 1}\n{"text": "he said \\"no\\", twice", "label": "bad"}\n'
    '{"text": "and\\tthat is all", "label": "good"}\n',
    "a.csv": 'label,text\ngood,a fine film\nbad,"he said ""no"", twice"\ngood,"and\tthat is all"\n',
}
HERE = Location("x")


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_holds_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name])
    assert [(row.text, row.label) for row in read_labelled(tmp_path / name)] == PAIRS
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(FILES[name].encode()))
    assert [
        (row.text, row.label) for row in read_labelled((tmp_path / name, tmp_path / f"{name}.gz"))
    ] == PAIRS * 2


def test_a_quote_in_tsv_is_a_character_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\nhe said "no, twice\t0\n"yes" it is\t1\n')
    rows = read_labelled(tmp_path / "a.tsv")
    assert [(row.text, row.label) for row in rows] == [
        ('he said "no, twice', "0"),
        ('"yes" it is', "1"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            '{"text": "x"}\n',
            "line 1: the row has no label. Name one column text and one label",
        ),
        (
            "a.jsonl",
            '{"text": "x", "label": "y"}\n{"text": "x", "label": 0.5}\n',
            "line 2: the label is a number",
        ),
        ("a.jsonl", '{"text": "x", "label": true}\n', "the label is true or false"),
        ("a.jsonl", '{"text": " ", "label": "y"}\n', "the text is empty"),
        ("a.jsonl", "[1]\n", "the row is a list, not an object"),
        (
            "a.csv",
            "sentence,label\nx,y\n",
            "the first line names 'sentence', 'label', not text and label",
        ),
        ("a.csv", 'text,label\n"x,y\n', "cannot be read from here"),
        ("a.tsv", "text\tlabel\nx\n", "line 2: the row has no label"),
        (
            "a.txt",
            "x\n",
            "labelled texts are not read from such a file. Give a file that ends in one of .jsonl, .csv, .tsv",
        ),
        ("a.jsonl", "\n", "there is no labelled text in it"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_labelled(tmp_path / name)


def test_bad_rows_can_be_left_out_but_not_unseen(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "x", "label": "y"}\n{"text": "x"}\n{"text": "z", "label": "n"}\n'
    )
    skipped: list[DataError] = []
    assert [row.label for row in read_labelled(tmp_path / "a.jsonl", skipped)] == ["y", "n"]
    assert [error.location.number for error in skipped] == [2]


def test_names_are_in_order_and_numbers_by_their_size() -> None:
    assert label_names([LabelledText("x", label, HERE) for label in ("spam", "ham", "spam")]) == (
        "ham",
        "spam",
    )
    assert label_names([LabelledText("x", label, HERE) for label in ("10", "9", "0")]) == (
        "0",
        "9",
        "10",
    )
    with pytest.raises(DataError, match="all 2 rows have the same label"):
        label_names([LabelledText("x", "y", HERE)] * 2)


def test_equal_texts_stand_on_one_side_of_the_split() -> None:
    rows = [LabelledText(f"text {i // 2}", "ab"[i % 2], HERE) for i in range(200)]
    train, validation = split_labelled(rows, 0.2)
    assert len(validation) == 40
    assert not {row.text for row in train} & {row.text for row in validation}


@pytest.mark.parametrize(
    ("n", "room", "lengths"), [(0, 5, [0]), (5, 5, [5]), (6, 5, [3, 3]), (11, 5, [3, 4, 4])]
)
def test_parts_are_few_equal_and_lose_nothing(n: int, room: int, lengths: list[int]) -> None:
    parts = split_evenly(list(range(n)), room)
    assert [len(part) for part in parts] == lengths
    assert [i for part in parts for i in part] == list(range(n))


def test_texts_stand_in_their_frame_and_an_unknown_label_is_refused() -> None:
    tokenizer = wordpiece.train(["the cat sat on the mat"] * 3, 60)
    encoder_tokens, ids = tokenizer.encoder_tokens, tokenizer.encode("the cat sat on the mat")
    rows = [LabelledText("the cat sat on the mat", "b", HERE), LabelledText("", "a", HERE)]
    read = encode_labelled(rows, tokenizer, ("a", "b"), 5)
    assert read.pieces == [
        [encoder_tokens.with_special_tokens(ids[:3]), encoder_tokens.with_special_tokens(ids[3:])],
        [[encoder_tokens.cls, encoder_tokens.sep]],
    ]
    assert read.labels == [1, 0]
    assert read.describe()["labels"] == {"a": 1, "b": 1}
    with pytest.raises(DataError, match="the label 'b' is none of a, c"):
        encode_labelled(rows, tokenizer, ("a", "c"), 5)
