"""Sentences with their translations: from one file that holds both sides, or from two files that hold one each, line by line.

One file: .tsv or .txt with a tab between the columns (Tatoeba's and Anki's way; further columns are passed over), or .jsonl with
source+target or prompt+completion; also as .xz or .gz. Two files may have any ending (train.fr.gz and train.en.gz).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from chatwright.data.files import COMPRESSIONS, Line, read_lines
from chatwright.data.readers import DataSource, parse_json, paths_of
from chatwright.data.row_shapes import kind, string
from chatwright.data.rows import DataError, Location

FORMATS = (".tsv", ".txt", ".jsonl")
COLUMNS = (("source", "target"), ("prompt", "completion"))


@dataclass(frozen=True)
class SentencePair:
    source: str
    target: str
    location: Location


def read_pairs(
    source: DataSource,
    target: DataSource | None = None,
    *,
    columns: tuple[int, int] = (1, 2),
    skipped: list[DataError] | None = None,
) -> list[SentencePair]:
    """Every pair, or the first DataError. With a list for `skipped`, rows that cannot be read are put there instead.

    Without a `target`, `source` names files that hold both sides; `columns` says where a tab-separated one has source and target, from 1.
    """
    pairs: list[SentencePair] = []
    for item in scan_pairs(source, columns) if target is None else scan_parallel(source, target):
        if isinstance(item, SentencePair):
            pairs.append(item)
        elif skipped is None:
            raise item
        else:
            skipped.append(item)
    if not pairs:
        raise (
            skipped[0]
            if skipped
            else DataError(
                Location(str(source)), "there is no sentence pair in it", "check the path"
            )
        )
    return pairs


def scan_pairs(
    source: DataSource, columns: tuple[int, int] = (1, 2)
) -> Iterator[SentencePair | DataError]:
    """Pairs and errors in the order of the lines. One bad line does not hide the next."""
    for path in paths_of(source):
        suffix = next(
            (s.lower() for s in reversed(path.suffixes) if s.lower() not in COMPRESSIONS), ""
        )
        if suffix not in FORMATS:
            remedy = f"give a file that ends in one of {', '.join(FORMATS)} (also as .xz or .gz), or two files of a sentence a line"
            yield DataError(
                Location(str(path)),
                f"sentence pairs are not read from {'a folder' if path.is_dir() else 'such a file'}",
                remedy,
            )
            continue
        for line in read_lines(path):
            if isinstance(line, DataError):
                yield line
            elif line.text.strip():
                location = Location(str(path), line.number)
                try:
                    texts = (
                        from_json(line.text, location)
                        if suffix == ".jsonl"
                        else from_columns(line.text, columns, location)
                    )
                    yield made(*texts, location)
                except DataError as error:
                    yield error


def scan_parallel(source: DataSource, target: DataSource) -> Iterator[SentencePair | DataError]:
    """Line n of one file with line n of the other."""
    sources, targets = paths_of(source), paths_of(target)
    if len(sources) != len(targets):
        raise DataError(
            Location(str(sources[0])),
            f"{len(sources)} source files and {len(targets)} target files",
            "name as many of each, in the same order",
        )
    for one, other in zip(sources, targets, strict=True):
        for a, b in zip_longest(read_lines(one), read_lines(other)):
            if isinstance(a, DataError) or isinstance(b, DataError):
                yield a if isinstance(a, DataError) else b  # type: ignore[misc]
            elif a is None or b is None:
                yield uneven(one, other, a, b)
                break
            else:
                try:
                    yield made(a.text, b.text, Location(str(one), a.number))
                except DataError as error:
                    yield error


def uneven(one: Path, other: Path, a: Line | None, b: Line | None) -> DataError:
    longer, shorter, line = (one, other, a) if b is None else (other, one, b)
    assert line is not None, "one of the two has a line left"
    return DataError(
        Location(str(longer), line.number),
        f"{shorter} has only {line.number - 1} lines",
        "line n of one file must be the translation of line n of the other; get both from the same place",
    )


def from_columns(text: str, columns: tuple[int, int], location: Location) -> tuple[str, str]:
    cells = text.rstrip("\r\n").split("\t")
    if max(columns) > len(cells):
        raise DataError(
            location,
            f"the line has {len(cells)} column(s), and column {max(columns)} is asked for",
            "put a tab between source and target, or set columns = [source, target]",
        )
    return cells[columns[0] - 1], cells[columns[1] - 1]


def from_json(text: str, location: Location) -> tuple[str, str]:
    record = parse_json(text, location)
    if not isinstance(record, Mapping):
        raise DataError(
            location,
            f"the row is {kind(record)}, not an object with named columns",
            'write {"source": "...", "target": "..."}',
        )
    for source, target in COLUMNS:
        if source in record and target in record:
            return string(record[source], source, location), string(
                record[target], target, location
            )
    raise DataError(
        location,
        "no known shape fits the columns found",
        "name the columns source and target, or prompt and completion",
    )


def made(source: str, target: str, location: Location) -> SentencePair:
    source, target = source.strip(), target.strip()
    if not source or not target:
        raise DataError(
            location,
            f"the {'target' if source else 'source'} is empty",
            "fill it or remove the line on both sides",
        )
    return SentencePair(source, target, location)
