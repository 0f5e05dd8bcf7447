"""Pairs come out as they were written, whatever the file; what is wrong is said with file and line."""

import gzip
import json
import lzma
from pathlib import Path

import pytest

from chatwright.data.rows import DataError
from chatwright.data.sentence_pairs import read_pairs, scan_pairs

PAIRS = [("Va !", "Go."), ("Je suis étudiant.", "I am a student."), ("Ça va ?", "How are you?")]


def texts(pairs) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in pairs]


def written(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(
        gzip.compress(data)
        if path.suffix == ".gz"
        else lzma.compress(data)
        if path.suffix == ".xz"
        else data
    )
    return path


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_every_format_gives_the_same_pairs(tmp_path: Path, ending: str) -> None:
    tabs = written(tmp_path / f"a.tsv{ending}", "".join(f"{a}\t{b}\tCC-BY\n" for a, b in PAIRS))
    swapped = written(tmp_path / f"b.txt{ending}", "".join(f"{b}\t{a}\r\n" for a, b in PAIRS))
    named = written(
        tmp_path / f"c.jsonl{ending}",
        "".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in PAIRS),
    )
    asked = written(
        tmp_path / f"d.jsonl{ending}",
        "".join(json.dumps({"prompt": a, "completion": b}) + "\n" for a, b in PAIRS),
    )
    french = written(tmp_path / f"e.fr{ending}", "".join(f"{a}\n" for a, _ in PAIRS))
    english = written(tmp_path / f"e.en{ending}", "".join(f"{b}\n" for _, b in PAIRS))
    assert texts(read_pairs(tabs)) == texts(read_pairs(swapped, columns=(2, 1))) == PAIRS
    assert (
        texts(read_pairs(named))
        == texts(read_pairs(asked))
        == texts(read_pairs(french, english))
        == PAIRS
    )
    assert (
        texts(read_pairs((tabs, named)))
        == texts(read_pairs((french, french), (english, english)))
        == PAIRS * 2
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.tsv",
            "Va !\tGo.\nCours !\n",
            r"a.tsv, line 2: the line has 1 column\(s\), and column 2 is asked for. Put a tab",
        ),
        ("a.tsv", "\tGo.\n", "a.tsv, line 1: the source is empty. Fill it"),
        (
            "a.jsonl",
            '{"source": "Va !"}\n',
            "line 1: no known shape fits the columns found. Name the columns source and target",
        ),
        ("a.jsonl", '{"source": "Va !", "target": 3}\n', "line 1: target is a number"),
        ("a.jsonl", "[1]\n", "line 1: the row is a list"),
        (
            "a.pdf",
            "x",
            "sentence pairs are not read from such a file. Give a file that ends in one of .tsv",
        ),
        ("a.tsv", "", "there is no sentence pair in it"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_pairs(written(tmp_path / name, text))


def test_files_of_unequal_length_are_refused_and_say_which(tmp_path: Path) -> None:
    french, english = (
        written(tmp_path / "a.fr", "un\ndeux\ntrois\n"),
        written(tmp_path / "a.en", "one\ntwo\n"),
    )
    for source, target in ((french, english), (english, french)):
        with pytest.raises(
            DataError,
            match=r"a.fr, line 3: .*a.en has only 2 lines. Line n of one file must be the translation",
        ):
            read_pairs(source, target)
    with pytest.raises(DataError, match="2 source files and 1 target files"):
        read_pairs((french, english), english)


def test_one_bad_line_does_not_hide_the_next(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "un\tone\nkaputt\ndeux\ttwo\n")
    skipped: list[DataError] = []
    assert texts(read_pairs(path, skipped=skipped)) == [("un", "one"), ("deux", "two")]
    assert [error.location.number for error in skipped] == [2]
    assert len(list(scan_pairs(path))) == 3


def test_the_shared_sets_are_read_whole(shared_data: Path) -> None:
    folder = shared_data / "multi30k"
    assert len(read_pairs(folder / "train.fr.gz", folder / "train.en.gz")) == 29_000
    pairs = read_pairs(shared_data / "tatoeba-fra-eng" / "fra.txt.xz", columns=(2, 1))
    assert len(pairs) == 142_787
    assert texts(pairs[:1]) == [("Va !", "Go.")]
