"""Texts with a label each: .jsonl with text and label, or .csv and .tsv whose first line names the columns; also as .xz or .gz.

A label is a name; whole numbers are names too. Further columns are passed over.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.data.files import COMPRESSIONS, read_lines
from chatwright.data.readers import DataSource, describe_source, parse_json, paths_of
from chatwright.data.row_shapes import kind, string
from chatwright.data.rows import DataError, Location
from chatwright.data.split import choose_validation

FORMATS = (".jsonl", ".csv", ".tsv")
REMEDY = "name one column text and one label"


@dataclass(frozen=True)
class LabelledText:
    text: str
    label: str
    location: Location


def read_labelled(source: DataSource, skipped: list[DataError] | None = None) -> list[LabelledText]:
    """Every row, or the first DataError. With a list for `skipped`, rows that cannot be read are put there instead."""
    rows: list[LabelledText] = []
    for item in scan_labelled(source):
        if isinstance(item, LabelledText):
            rows.append(item)
        elif skipped is None:
            raise item
        else:
            skipped.append(item)
    if not rows:
        raise (
            skipped[0]
            if skipped
            else DataError(
                Location(describe_source(source)),
                "there is no labelled text in it",
                "check the path",
            )
        )
    return rows


def scan_labelled(source: DataSource) -> Iterator[LabelledText | DataError]:
    """Rows and errors in the order of the lines. One bad line does not hide the next."""
    for path in paths_of(source):
        suffix = next(
            (s.lower() for s in reversed(path.suffixes) if s.lower() not in COMPRESSIONS), ""
        )
        if suffix not in FORMATS:
            yield DataError(
                Location(str(path)),
                f"labelled texts are not read from {'a folder' if path.is_dir() else 'such a file'}",
                f"give a file that ends in one of {', '.join(FORMATS)} (also as .xz or .gz)",
            )
            continue
        yield from (
            scan_json_lines(path)
            if suffix == ".jsonl"
            else scan_columns(path, "," if suffix == ".csv" else "\t")
        )


def scan_json_lines(path: Path) -> Iterator[LabelledText | DataError]:
    for line in read_lines(path):
        if isinstance(line, DataError):
            yield line
        elif line.text.strip():
            location = Location(str(path), line.number)
            try:
                yield made(parse_json(line.text, location), location)
            except DataError as error:
                yield error


def scan_columns(path: Path, separator: str) -> Iterator[LabelledText | DataError]:
    """Cells in quotes may hold separators and newlines in .csv; in .tsv a quote is a character like any other."""

    def lines() -> Iterator[str]:
        for line in read_lines(path):
            if isinstance(line, DataError):
                raise line
            yield line.text

    reader = csv.reader(
        lines(),
        delimiter=separator,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE,
    )
    try:
        header = [name.strip() for name in next(reader, [])]
        if not {"text", "label"} <= set(header):
            found = ", ".join(map(ascii, header[:10])) or "nothing"
            raise DataError(
                Location(str(path), 1), f"the first line names {found}, not text and label", REMEDY
            )
        for cells in reader:
            location = Location(str(path), reader.line_num)
            try:
                if cells:
                    yield made(dict(zip(header, cells, strict=False)), location)
            except DataError as error:
                yield error
    except csv.Error as error:
        yield DataError(
            Location(str(path), reader.line_num),
            f"the file cannot be read from here ({error})",
            "close every quote",
        )
    except DataError as error:
        yield error


def made(record: Any, location: Location) -> LabelledText:
    if not isinstance(record, Mapping):
        raise DataError(
            location,
            f"the row is {kind(record)}, not an object with named columns",
            'write {"text": "...", "label": "..."}',
        )
    if "text" not in record or "label" not in record:
        raise DataError(
            location, f"the row has no {'label' if 'text' in record else 'text'}", REMEDY
        )
    text, label = string(record["text"], "text", location).strip(), record["label"]
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise DataError(
            location, f"the label is {kind(label)}", "write the label's name, or a whole number"
        )
    if not text or not str(label).strip():
        raise DataError(
            location, f"the {'label' if text else 'text'} is empty", "fill it or remove the row"
        )
    return LabelledText(text, str(label).strip(), location)


def label_names(rows: Sequence[LabelledText]) -> tuple[str, ...]:
    """In alphabetical order; numbers by their size."""
    names = sorted(
        {row.label for row in rows},
        key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name),
    )
    if len(names) < 2:
        raise DataError(
            rows[0].location,
            f"all {len(rows)} rows have the same label",
            "add rows of another label: there is nothing to tell apart",
        )
    return tuple(names)


def split_labelled(
    rows: Sequence[LabelledText], validation_share: float
) -> tuple[list[LabelledText], list[LabelledText]]:
    """(train, validation), by the hash of the text: the same text stands on one side."""
    chosen = choose_validation([row.text for row in rows], [1] * len(rows), validation_share)
    train = [row for row, is_validation in zip(rows, chosen, strict=True) if not is_validation]
    validation = [row for row, is_validation in zip(rows, chosen, strict=True) if is_validation]
    if not train or not validation:
        raise DataError(
            rows[0].location,
            f"{len(rows)} rows are too few to keep some for validation",
            "add rows, or give a validation file",
        )
    return train, validation
