"""Commands `chatwright bench`: measure what runs on this machine."""

import os
import sys
from typing import Annotated

import typer

KEY_VARIABLE = "CHATWRIGHT_KEY"
app = typer.Typer(no_args_is_help=True, help="Measure how fast a server is.")


@app.callback()
def bench() -> None:
    """Measure how fast a server is."""


@app.command("serve")
def serve(
    url: Annotated[str, typer.Argument(help="Address of the server, as chatwright serve prints.")],
    clients: Annotated[
        int, typer.Option("--clients", help="Clients, each with one request at a time.")
    ] = 8,
    requests: Annotated[
        int, typer.Option("--requests", help="Requests of all clients together.")
    ] = 64,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Longest reply in tokens.")] = 64,
    words: Annotated[int, typer.Option("--words", help="Words in each prompt.")] = 50,
    model: Annotated[
        str,
        typer.Option("--model", help="Name of the model; by default the first that replies."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send requests to a running server, and print tokens per second and waiting times.

    If the server asks for a key, set the environment variable CHATWRIGHT_KEY.
    """
    from chatwright.cli.output import print_json
    from chatwright.evaluation.server_load import LoadConfig, measure_load

    config = LoadConfig(
        url=url,
        n_client=clients,
        n_request=requests,
        max_tokens=max_tokens,
        n_word=words,
        model=model,
        key=os.environ.get(KEY_VARIABLE, ""),
    )
    result = measure_load(config)
    if result.failure:
        print(f"{result.n_failed} requests failed: {result.failure}", file=sys.stderr)
    figures = result.figures()
    if as_json:
        print_json(figures)
        return
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):24} {value:>10}")
