"""chatwright data check PATH, chatwright data show PATH."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look at training data before training on it.")


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Every problem with its file, line, reason and fix; counts of what is there. Exit status 1 if there is any problem."""
    from chatwright.data.check import check as check_data
    from chatwright.data.check import format_report, to_json

    report = check_data(path)
    print(to_json(report) if as_json else format_report(report))
    if not report.is_ok:
        raise typer.Exit(1)


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    mask: Annotated[bool, typer.Option("--mask", help="Mark the tokens that carry loss.")] = False,
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", help="The folder of a model or tokenizer; needed for --mask."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", help="How many rows.")] = 3,
) -> None:
    """The first rows, as the model will read them."""
    from itertools import islice

    from rich.console import Console

    from chatwright.checkpoint import model_directory
    from chatwright.data.readers import read_rows
    from chatwright.data.show import show_mask, show_row
    from chatwright.tokenizer.tokenizer import load_tokenizer

    console = Console(highlight=False)
    if mask and tokenizer is None:
        raise ValueError(
            "--mask needs --tokenizer DIR, the folder of a model: which tokens there are depends on the vocabulary."
        )
    loaded = None
    if tokenizer is not None:
        has_own = any(
            (tokenizer / name).is_file() for name in ("tokenizer.json", "characters.json")
        )
        loaded = load_tokenizer(tokenizer if has_own else model_directory.find(tokenizer))
    for row in islice(read_rows(path), rows):
        console.print(
            show_mask(row, loaded) if mask and loaded is not None else show_row(row), soft_wrap=True
        )
