"""chatwright inspect embeddings DIR king - man + woman."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Look inside a model. Reads, never changes.")


@app.callback()
def inspect() -> None:
    """Look inside a model. Reads, never changes."""


@app.command("embeddings", context_settings={"ignore_unknown_options": True})
def embeddings(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    expression: Annotated[
        list[str],
        typer.Argument(help="A word, or words with + and - between them: king - man + woman."),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="How many words to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="The words as JSON.")] = False,
) -> None:
    """The words whose rows of the embedding matrix are nearest to a word, or to a sum of words."""
    from chatwright.checkpoint import model_directory
    from chatwright.inspection.embeddings import Embeddings
    from chatwright.model.model import Model

    rows = Embeddings.of(*model_directory.load(directory, kind=Model))
    vector, words = rows.combined(" ".join(expression).split())
    found = rows.nearest(vector, top, without=words)
    if as_json:
        print(json.dumps([vars(neighbour) for neighbour in found]))
        return
    for neighbour in found:
        print(f"{neighbour.similarity:7.4f}  {neighbour.word}")
