"""Check and show training data: `chatwright data check PATH`, `chatwright data show PATH`."""

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from chatwright.cli.options import Columns, Encoding, read_options
from chatwright.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Check and show training data.")

DataPath = Annotated[Path, typer.Argument(help="A file or a folder.")]


@app.command("check")
def check(
    path: DataPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    encoding: Encoding = "",
    columns: Columns = "",
) -> None:
    """Report every problem in the data.

    Each problem has a file, a line, a cause and a remedy. The rows of each kind are counted.
    Exit status 1 if there is a problem.
    """
    from chatwright.data.checks.check import check as check_data
    from chatwright.data.checks.check_report import format_report, to_json

    report = check_data(path, options=read_options(encoding, columns))
    print(to_json(report) if as_json else format_report(report))
    if not report.is_ok:
        raise typer.Exit(1)


@app.command("show")
def show(
    path: DataPath,
    mask: Annotated[bool, typer.Option("--mask", help="Mark the tokens that carry loss.")] = False,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", help="Directory of a model or tokenizer; --mask needs it."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="Number of rows.", min=1)] = 3,
    encoding: Encoding = "",
    columns: Columns = "",
) -> None:
    """Show the first rows as the model will read them."""
    from rich.console import Console

    from chatwright.cli.load_model import open_tokenizer
    from chatwright.data.checks.show import show_mask, show_row
    from chatwright.data.readers.problems import describe_skipped
    from chatwright.data.readers.row_reader import read_rows
    from chatwright.data.rows import DataError

    if mask and tokenizer is None:
        raise InputError(
            "--mask shows tokens, and which tokens there are depends on the vocabulary.",
            remedy="Add --tokenizer DIR, the directory of a model.",
            field="--tokenizer",
        )
    console = Console(highlight=False)
    loaded = None if tokenizer is None else open_tokenizer(tokenizer)
    skipped: list[DataError] = []
    for row in islice(read_rows(path, read_options(encoding, columns), skipped), rows):
        marked = show_mask(row, loaded) if mask and loaded is not None else show_row(row)
        console.print(marked, soft_wrap=True)
    for problem in describe_skipped(skipped):
        print(f"left out: {problem}", file=sys.stderr)
