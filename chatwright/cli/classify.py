"""Print the label of each text: `chatwright classify DIR TEXT`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import Columns, Encoding, ModelDirectory, read_options
from chatwright.cli.output import print_json

if TYPE_CHECKING:
    from chatwright.data.readers.data_source import ReadOptions
    from chatwright.tasks.classify import Prediction


def classify(
    directory: ModelDirectory,
    text: Annotated[
        str | None,
        typer.Argument(
            help="A text, or a file: one text per line, or a table (.jsonl, .csv, .tsv) with a "
            'column "text". Without it, standard input is read, one text per line.'
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object per text, with the probability of every label."
        ),
    ] = False,
    encoding: Encoding = "",
    columns: Columns = "",
    attention: Annotated[
        Path | None,
        typer.Option(
            "--attention", help="Also write an HTML page of what the [CLS] token attended to."
        ),
    ] = None,
) -> None:
    """Classify texts.

    Of one text, every label is printed with its probability; of several, the most probable label.
    """
    from chatwright.pipeline.classify_texts import classify_texts
    from chatwright.pipeline.text_input import file_named_by

    file = None if text is None else file_named_by(text)
    is_one_text = text is not None and file is None
    texts = _texts(text, file, read_options(encoding, columns))
    for prediction in classify_texts(directory, texts, attention):
        _print(prediction, as_json, is_one_text)
    if attention is not None:
        print(f"attention: {attention} (open it in any browser)", file=sys.stderr)


def _texts(text: str | None, file: Path | None, options: "ReadOptions") -> Iterable[str]:
    from chatwright.cli.standard_input import piped_lines
    from chatwright.pipeline.text_input import read_texts

    if file is not None:
        return read_texts(file, options)
    return [text] if text is not None else piped_lines("text")


def _print(prediction: "Prediction", as_json: bool, is_one_text: bool) -> None:
    if as_json:
        print_json(
            {
                "text": prediction.text,
                "label": prediction.label,
                "probabilities": prediction.probabilities,
            }
        )
    elif is_one_text:
        for label, probability in prediction.probabilities.items():
            print(f"{probability:7.4f}  {label}")
    else:
        probability = prediction.probabilities[prediction.label]
        print(f"{prediction.label}\t{probability:.4f}\t{prediction.text}", flush=True)
