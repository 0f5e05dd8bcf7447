"""chatwright serve DIR."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    directory: Annotated[
        Path, typer.Argument(help="A model directory, or the folder of a training run.")
    ],
    port: Annotated[
        int, typer.Option("--port", help="Port on 127.0.0.1; 0 takes any free one.")
    ] = 8000,
) -> None:
    """A page to talk to the model and an OpenAI-shaped API, on this machine only."""
    from chatwright.cli.load_model import open_assistant
    from chatwright.server.app import serve as serve_app

    serve_app(open_assistant(directory), directory.resolve().name, port)
