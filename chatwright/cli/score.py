"""Print the score of each reply, from a reward model: `chatwright score DIR FILE`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import Columns, Encoding, ModelDirectory, read_options
from chatwright.cli.output import print_json


def score(
    directory: ModelDirectory,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Rows of conversations, preferences or feedback: a file or a folder. Without it, "
            "standard input is read, one JSON row per line."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per reply, with its row.")
    ] = False,
    encoding: Encoding = "",
    columns: Columns = "",
) -> None:
    """Score the replies in a file with a reward model.

    Scores are in standard deviations from the mean of the model's validation data. They compare
    replies of one model: a higher score means that people would rather prefer the reply.
    """
    from chatwright.cli.standard_input import piped_lines
    from chatwright.data.readers.row_reader import read_rows
    from chatwright.pipeline.score_replies import rows_of_lines, score_rows

    options = read_options(encoding, columns)
    rows = read_rows(file, options) if file is not None else rows_of_lines(piped_lines("row"))
    n_other = 0
    for found in score_rows(directory, rows, is_live=file is None):
        if found is None:
            n_other += 1
        elif as_json:
            print_json({"row": str(found.location), "score": found.score, "reply": found.reply})
        else:
            reply = " ".join(found.reply.split())
            print(f"{found.score:+.4f}\t{reply}", flush=True)
    if n_other:
        print(f"ignored: {n_other:,} rows without a reply", file=sys.stderr)
