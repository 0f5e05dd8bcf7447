"""chatwright chat DIR, chatwright generate DIR TEXT."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

Directory = Annotated[Path, typer.Argument(help="A model directory, or the folder of a training run.")]
Settings = Annotated[Optional[list[str]], typer.Argument(help="Sampling settings as key=value, for example temperature=0.5 seed=7 max_tokens=200.")]


def chat(directory: Directory, settings: Settings = None,
         system: Annotated[str, typer.Option("--system", help="Instructions that open the conversation.")] = "") -> None:
    """Talk to a model in the terminal. /help shows what can be done there."""
    from chatwright.chat.terminal import Terminal
    from chatwright.cli.opening import open_assistant, read_sampling
    assistant = open_assistant(directory)
    Terminal(assistant, read_sampling(settings or []), system=system, name=directory.name).run()


def generate(directory: Directory, text: Annotated[str, typer.Argument(help="The text to continue.")] = "", settings: Settings = None) -> None:
    """Continue a text, without any conversation around it."""
    from chatwright.cli.opening import open_assistant, read_sampling
    assistant = open_assistant(directory)
    sys.stdout.write(text)
    for piece in assistant.stream_completion(text, read_sampling(settings or [])):
        sys.stdout.write(piece)
        sys.stdout.flush()
    print()
