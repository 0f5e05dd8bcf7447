"""chatwright classify DIR TEXT: labels of texts, from the command line, a file or a pipe."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from chatwright.chat.labeller import Labeller, Told

MOST_SHOWN = 20


def classify(directory: Annotated[Path, typer.Argument(help="A model directory, or the folder of a training run.")],
             text: Annotated[Optional[str], typer.Argument(help="A text, or a file with a text a line (.jsonl, .csv, .tsv: its text column). "
                                                           "Without it standard input is read, a text a line.")] = None,
             as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text, with the probability of every label.")] = False,
             attention: Annotated[Optional[Path], typer.Option("--attention", help="Also write a page that shows what <cls> looked at.")] = None,
             ) -> None:
    """Tell the label of each text, with its probability."""
    from chatwright.cli.opening import open_labeller
    file = _file_called(text)
    texts = _texts(text, file)
    if attention is not None:
        texts = list(texts)
        if len(texts) > MOST_SHOWN:
            raise ValueError(f"--attention shows at most {MOST_SHOWN} texts, and {len(texts)} were given: choose the ones to look at.")
    labeller = open_labeller(directory)
    shown = []
    for told in labeller.tell(texts):
        _print(told, as_json, alone=text is not None and file is None)
        if attention is not None:
            shown.append(told)
    if attention is not None:
        _write_page(labeller, shown, attention)


def _file_called(text: str | None) -> Path | None:
    """The file that `text` names, if it names one. What looks like a file's name and is none is a mistake, not a text to label."""
    from chatwright.data import labelled
    from chatwright.data.files import COMPRESSIONS, FORMATS
    if text is None:
        return None
    try:
        if Path(text).is_file():
            return Path(text)
    except (OSError, ValueError):    # too long for a path, or with a zero byte
        return None
    if text.lower().endswith((*FORMATS, *labelled.FORMATS, *COMPRESSIONS)) and not any(map(str.isspace, text)):
        raise ValueError(f"{text}: no such file. Check the path; a text that only looks like one can be piped in: echo {text} | "
                         "chatwright classify DIR")
    return None


def _texts(text: str | None, file: Path | None) -> Iterable[str]:
    if file is not None:
        return _lines(file)
    if text is not None:
        return [text]
    if sys.stdin.isatty():
        raise ValueError("nothing to classify: write a text or a file after the directory, or pipe lines in.")
    return (line.rstrip("\r\n") for line in sys.stdin)


def _lines(file: Path) -> Iterator[str]:
    from chatwright.data.files import format_of, read_lines
    from chatwright.data.labelled import read_labelled
    from chatwright.data.readers import read_rows
    from chatwright.data.rows import DataError, TextRow
    if ".tsv" in file.suffixes:
        yield from (row.text for row in read_labelled(file))
    elif format_of(file) in (".jsonl", ".json", ".csv", ".parquet"):
        for row in read_rows(file):
            if not isinstance(row, TextRow):
                raise DataError(row.location, "the row is a conversation, not a text", "name the column to be labelled text")
            yield row.text
    else:
        for line in read_lines(file):
            if isinstance(line, DataError):
                raise line
            yield line.text.rstrip("\r\n")


def _print(told: "Told", as_json: bool, alone: bool) -> None:
    if as_json:
        print(json.dumps({"text": told.text, "label": told.label, "probabilities": told.probabilities}, ensure_ascii=False), flush=True)
    elif alone:
        for name, share in told.probabilities.items():
            print(f"{share:7.4f}  {name}")
    else:
        print(f"{told.label}\t{told.probabilities[told.label]:.4f}\t{told.text}", flush=True)


def _write_page(labeller: "Labeller", shown: "list[Told]", page: Path) -> None:
    from chatwright.inspection.label_attention import LabelAttention, label_attention
    from chatwright.inspection.label_page import label_page

    def seen(told: "Told") -> list[LabelAttention]:
        return [label_attention(labeller.forward.model, labeller.tokenizer, piece) for piece in labeller.pieces(told.text)]
    page.write_text(label_page([(told.probabilities, seen(told)) for told in shown]), encoding="utf-8")
    print(f"attention: {page} (opens in any browser, without a network)", file=sys.stderr)
