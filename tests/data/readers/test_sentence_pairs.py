"""Every file format gives the same sentence pairs; errors name line and column."""

import gzip
import json
import lzma
from pathlib import Path

import pytest

from chatwright.data.readers.data_source import ReadOptions
from chatwright.data.readers.sentence_pairs import read_pairs, scan_pairs
from chatwright.data.rows import DataError, SentencePair, UnsupportedFile

PAIRS = [("Va !", "Go."), ("Je suis étudiant.", "I am a student."), ("Ça va ?", "How are you?")]


def sides(pairs: list[SentencePair]) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in pairs]


def write(path: Path, text: str) -> Path:
    compress = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
    path.write_bytes(compress(text.encode()))
    return path


def json_lines(source: str, target: str) -> str:
    return "".join(json.dumps({source: a, target: b}) + "\n" for a, b in PAIRS)


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
def test_every_format_gives_the_same_pairs(tmp_path: Path, ending: str) -> None:
    tabs = write(tmp_path / f"a.tsv{ending}", "".join(f"{a}\t{b}\tCC-BY\n" for a, b in PAIRS))
    swapped = write(tmp_path / f"b.txt{ending}", "".join(f"{b}\t{a}\r\n" for a, b in PAIRS))
    named = write(tmp_path / f"c.jsonl{ending}", json_lines("source", "target"))
    prompts = write(tmp_path / f"d.jsonl{ending}", json_lines("prompt", "completion"))
    french = write(tmp_path / f"e.fr{ending}", "".join(f"{a}\n" for a, _ in PAIRS))
    english = write(tmp_path / f"e.en{ending}", "".join(f"{b}\n" for _, b in PAIRS))
    header = write(
        tmp_path / f"f.tsv{ending}",
        "id\ttarget\tsource\n" + "".join(f"1\t{b}\t{a}\n" for a, b in PAIRS),
    )
    semicolons = write(
        tmp_path / f"g.csv{ending}",
        "source;target\n" + "".join(f'"{a}";"{b}"\n' for a, b in PAIRS),
    )
    for path in (tabs, named, prompts, header, semicolons):
        assert sides(read_pairs(path)) == PAIRS, path
    assert sides(read_pairs(swapped, columns=(2, 1))) == PAIRS
    assert sides(read_pairs(french, english)) == PAIRS
    assert sides(read_pairs((tabs, named))) == PAIRS * 2
    assert sides(read_pairs((french, french), (english, english))) == PAIRS * 2


def test_columns_can_be_renamed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines("fr", "en"))
    options = ReadOptions(rename_columns={"fr": "source", "en": "target"})
    assert sides(read_pairs(path, options=options)) == PAIRS


def test_two_files_in_another_encoding_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.fr").write_bytes("".join(f"{a}\n" for a, _ in PAIRS).encode("cp1252"))
    (tmp_path / "a.en").write_bytes("".join(f"{b}\n" for _, b in PAIRS).encode())
    options = ReadOptions(encoding="cp1252")
    assert sides(read_pairs(tmp_path / "a.fr", tmp_path / "a.en", options=options)) == PAIRS


@pytest.mark.parametrize(
    ("name", "text", "line", "field"),
    [
        ("a.tsv", "Va !\tGo.\nCours !\n", 2, "columns"),
        ("a.tsv", "\tGo.\n", 1, "source"),
        ("a.tsv", "Va !\t\n", 1, "target"),
        ("a.jsonl", '{"source": "Va !"}\n', 1, "columns"),
        ("a.jsonl", '{"source": "Va !", "target": 3}\n', 1, "target"),
    ],
)
def test_error_names_the_line_and_the_column(
    tmp_path: Path, name: str, text: str, line: int, field: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_pairs(write(tmp_path / name, text))
    assert (caught.value.location.number, caught.value.field) == (line, field)
    assert caught.value.remedy


@pytest.mark.parametrize(("name", "text"), [("a.jsonl", "[1]\n"), ("a.tsv", ""), ("a.pdf", "x")])
def test_error_for_a_file_without_pairs_names_the_file(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_pairs(write(tmp_path / name, text))
    assert caught.value.location.file == str(tmp_path / name)
    assert isinstance(caught.value, UnsupportedFile) == name.endswith("pdf")


def test_error_for_files_of_unequal_length_names_the_longer_file(tmp_path: Path) -> None:
    french = write(tmp_path / "a.fr", "un\ndeux\ntrois\n")
    english = write(tmp_path / "a.en", "one\ntwo\n")
    for source, target in ((french, english), (english, french)):
        with pytest.raises(DataError) as caught:
            read_pairs(source, target)
        assert caught.value.location.file == str(french)
        assert caught.value.location.number == 3
    with pytest.raises(DataError) as caught:
        read_pairs((french, english), english)
    assert "2 source files" in caught.value.cause


def test_lines_after_a_bad_line_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "un\tone\nkaputt\ndeux\ttwo\n")
    skipped: list[DataError] = []
    pairs = read_pairs(path, options=ReadOptions(skip_bad_rows=True), skipped=skipped)
    assert sides(pairs) == [("un", "one"), ("deux", "two")]
    assert [error.location.number for error in skipped] == [2]
    kinds = [type(scanned) for scanned in scan_pairs(path)]
    assert kinds == [SentencePair, DataError, SentencePair]


def test_multi30k_and_tatoeba_are_read_completely(shared_data: Path) -> None:
    folder = shared_data / "multi30k"
    assert len(read_pairs(folder / "train.fr.gz", folder / "train.en.gz")) == 29_000
    pairs = read_pairs(shared_data / "tatoeba-fra-eng" / "fra.txt.xz", columns=(2, 1))
    assert len(pairs) == 142_787
    assert sides(pairs[:1]) == [("Va !", "Go.")]
