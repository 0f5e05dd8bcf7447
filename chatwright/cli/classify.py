"""chatwright classify DIR TEXT: labels of texts, from the command line, a file or a pipe."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.texts import file_called, from_file, from_pipe, require_place, require_some

if TYPE_CHECKING:
    from chatwright.tasks.classify import Classifier, Told

MOST_SHOWN = 20


def classify(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    text: Annotated[
        str | None,
        typer.Argument(
            help="A text, or a file with a text a line (.jsonl, .csv, .tsv: its text column). "
            "Without it standard input is read, a text a line."
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a text, with the probability of every label."),
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option("--attention", help="Also write a page that shows what <cls> looked at."),
    ] = None,
) -> None:
    """Tell the label of each text, with its probability."""
    from chatwright.cli.load_model import open_labeller

    file = None if text is None else file_called(text)
    texts: Iterable[str] = require_some(_texts(text, file))
    if attention is not None:
        require_place(attention)
        texts = list(texts)
        if len(texts) > MOST_SHOWN:
            raise ValueError(
                f"--attention shows at most {MOST_SHOWN} texts, and {len(texts)} were given: choose the ones to look at."
            )
    labeller = open_labeller(directory)
    shown = []
    for told in labeller.tell(texts):
        _print(told, as_json, alone=text is not None and file is None)
        if attention is not None:
            shown.append(told)
    if attention is not None:
        _write_page(labeller, shown, attention)


def _texts(text: str | None, file: Path | None) -> Iterable[str]:
    if file is not None:
        return from_file(file)
    if text is not None:
        return [text]
    if sys.stdin.isatty():
        raise ValueError(
            "nothing to classify: write a text or a file after the directory, or pipe lines in."
        )
    return from_pipe()


def _print(told: "Told", as_json: bool, alone: bool) -> None:
    if as_json:
        print(
            json.dumps(
                {"text": told.text, "label": told.label, "probabilities": told.probabilities},
                ensure_ascii=False,
            ),
            flush=True,
        )
    elif alone:
        for name, share in told.probabilities.items():
            print(f"{share:7.4f}  {name}")
    else:
        print(f"{told.label}\t{told.probabilities[told.label]:.4f}\t{told.text}", flush=True)


def _write_page(labeller: "Classifier", shown: "list[Told]", page: Path) -> None:
    from chatwright.inspection.label_attention import LabelAttention, label_attention
    from chatwright.inspection.label_page import label_page

    def seen(told: "Told") -> list[LabelAttention]:
        return [
            label_attention(labeller.forward.model, labeller.tokenizer, piece)
            for piece in labeller.pieces(told.text)
        ]

    page.write_text(
        label_page([(told.probabilities, seen(told)) for told in shown]), encoding="utf-8"
    )
    print(f"attention: {page} (opens in any browser, without a network)", file=sys.stderr)
