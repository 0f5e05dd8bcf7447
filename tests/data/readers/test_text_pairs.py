"""Text pairs and scored pairs: every table shape, errors with their column, the split."""

import json
from pathlib import Path
from typing import Any

import pytest

from chatwright.data.checks.check import check
from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.text_pairs import (
    read_scored_pairs,
    read_text_pairs,
    split_text_pairs,
    without_repeated_pairs,
)
from chatwright.data.rows import DataError, Location, ScoredPair, TextPair

ROWS = [
    {"anchor": "a cat", "positive": "a kitten", "negative": "a log"},
    {"anchor": "a dog", "positive": "a puppy", "negative": "a mat"},
]
EXPECTED = [("a cat", "a kitten", "a log"), ("a dog", "a puppy", "a mat")]


def pair(anchor: str, positive: str, negative: str | None = None) -> TextPair:
    return TextPair(anchor, positive, Location("toy"), negative)


def texts(pairs: list[TextPair]) -> list[tuple[str, str, str | None]]:
    return [(pair.anchor, pair.positive, pair.negative) for pair in pairs]


def test_pairs_are_read_from_every_kind_of_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    cells = [list(ROWS[0]), *(list(row.values()) for row in ROWS)]
    (tmp_path / "a.csv").write_text("\n".join(";".join(row) for row in cells))
    (tmp_path / "a.tsv").write_text("\n".join("\t".join(reversed(row)) for row in cells))
    for name in ("a.jsonl", "a.json", "a.csv", "a.tsv"):
        assert texts(read_text_pairs(tmp_path / name)) == EXPECTED, name
    assert texts(read_text_pairs(tmp_path)) == EXPECTED * 4


@pytest.mark.parametrize("negative", [{}, {"negative": None}, {"negative": "  "}])
def test_a_negative_may_be_missing(tmp_path: Path, negative: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"anchor": " a cat ", "positive": "x"} | negative))
    assert texts(read_text_pairs(tmp_path / "a.jsonl")) == [("a cat", "x", None)]


def test_without_a_header_only_two_columns_are_read(tmp_path: Path) -> None:
    """A third column without a name may be a licence, as in the files of Tatoeba."""
    (tmp_path / "a.tsv").write_text("Go.\tVa !\tCC-BY 2.0\nRun!\tCours !\tCC-BY 2.0\n")
    found = texts(read_text_pairs(tmp_path / "a.tsv"))
    assert found == [("Go.", "Va !", None), ("Run!", "Cours !", None)]


def test_columns_can_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nwhy?,because\n")
    renamed = ReadOptions(rename_columns={"question": "anchor", "answer": "positive"})
    assert texts(read_text_pairs(tmp_path / "a.csv", renamed)) == [("why?", "because", None)]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"anchor": "a", "positive": "  "}, "positive"),
        ({"anchor": "", "positive": "b"}, "anchor"),
        ({"anchor": 7, "positive": "b"}, "anchor"),
        ({"anchor": "a", "positive": "b", "negative": ["c"]}, "negative"),
        ({"anchor": "a", "text": "b"}, "columns"),
        (["a", "b"], "a.jsonl"),
    ],
)
def test_a_wrong_row_is_an_error_that_names_the_column(
    tmp_path: Path, row: Any, field: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError) as caught:
        read_text_pairs(tmp_path / "a.jsonl")
    assert caught.value.field.endswith(field)
    assert caught.value.location.number == 1


def test_scored_pairs_are_read_with_and_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("car\tautomobile\t3.92\r\nnoon\tstring\t0.08\r\n")
    (tmp_path / "named.csv").write_text("score,sentence2,sentence1\n3.92,automobile,car\n")
    (tmp_path / "named.jsonl").write_text(
        json.dumps({"sentence1": "car", "sentence2": "automobile", "score": 3.92})
    )

    def values(name: str) -> list[tuple[str, str, float]]:
        return [(p.first, p.second, p.score) for p in read_scored_pairs(tmp_path / name)]

    first = ("car", "automobile", 3.92)
    assert values("words.txt") == [first, ("noon", "string", 0.08)]
    assert values("named.csv") == values("named.jsonl") == [first]


@pytest.mark.parametrize("score", ["high", "", "nan", "inf", None, True, [1]])
def test_a_score_that_is_no_finite_number_is_an_error(tmp_path: Path, score: Any) -> None:
    row = {"sentence1": "a", "sentence2": "b", "score": score}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(DataError) as caught:
        read_scored_pairs(tmp_path / "a.jsonl")
    assert caught.value.field == "score"


def test_a_line_with_too_few_columns_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("car\tautomobile\n")
    with pytest.raises(DataError) as caught:
        read_scored_pairs(tmp_path / "a.txt")
    assert caught.value.field == "columns"


def test_data_check_counts_both_kinds_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "b.csv").write_text("sentence1,sentence2,score\na,b,1\nc,d,2\ne,f,3\n")
    report = check(tmp_path)
    assert report.problems == []
    assert report.n_rows == {"text pair": 2, "scored pair": 3}
    n_text = sum(len(text) for row in ROWS for text in row.values())
    assert report.n_characters["text pair"] == n_text


def test_equal_anchors_are_on_the_same_side_of_the_split() -> None:
    pairs = [pair(f"anchor {i % 40}", f"text {i}") for i in range(120)]
    train, validation = split_text_pairs(pairs, 0.2)
    assert len(train) + len(validation) == 120
    assert {p.anchor for p in train}.isdisjoint(p.anchor for p in validation)
    assert len(validation) == pytest.approx(24, abs=6)


def test_too_few_pairs_to_split_are_an_error() -> None:
    with pytest.raises(DataError) as caught:
        split_text_pairs([pair("a", "b")], 0.1)
    assert caught.value.field == "validation_share"


def test_training_pairs_are_left_out_of_validation_in_either_order() -> None:
    train = [pair("A  cat", "a kitten"), pair("x", "y")]
    validation = [pair("a cat", "A kitten"), pair("Y", "X"), pair("a cat", "another")]
    assert without_repeated_pairs(train, validation) == [validation[2]]


def test_the_published_word_lists_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "word-similarity"
    counts = {file.name: len(read_scored_pairs(file)) for file in sorted(folder.iterdir())}
    assert counts["EN-SIMLEX-999.txt"] == 999
    assert counts["EN-SimVerb-3500.txt"] == 3500
    assert sum(counts.values()) == 11_768
    [first] = read_scored_pairs(folder / "EN-MC-30.txt")[:1]
    assert first == ScoredPair("car", "automobile", 3.92, Location(str(folder / "EN-MC-30.txt"), 1))
