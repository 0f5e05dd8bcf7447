"""Commands `chatwright inspect`: look inside a model, without changing it."""

from typing import Annotated

import typer

from chatwright.cli import inspect_decoder
from chatwright.cli.options import ModelDirectory
from chatwright.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="Look inside a model, without changing it.")


@app.callback()
def inspect() -> None:
    """Look inside a model, without changing it."""


@app.command("embeddings", context_settings={"ignore_unknown_options": True})
def embeddings(
    directory: ModelDirectory,
    expression: Annotated[
        list[str],
        typer.Argument(help="A word, or words with + and - between them: king - man + woman."),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="Number of words to show.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print the words as JSON.")] = False,
) -> None:
    """List the words nearest to a word or a sum."""
    from chatwright.checkpoint import model_directory
    from chatwright.inspection.embeddings import Embeddings
    from chatwright.model.model import Model

    matrix = Embeddings.of(*model_directory.load(directory, kind=Model))
    vector, words = matrix.combined(" ".join(expression).split())
    neighbors = matrix.nearest(vector, top, without=words)
    if as_json:
        print_json([vars(neighbor) for neighbor in neighbors])
        return
    for neighbor in neighbors:
        print(f"{neighbor.similarity:7.4f}  {neighbor.word}")


app.command("tokens")(inspect_decoder.tokens)
app.command("next")(inspect_decoder.next_tokens)
app.command("attention")(inspect_decoder.attention)
app.command("lens")(inspect_decoder.lens)
