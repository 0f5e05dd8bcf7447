"""chatwright chat DIR, chatwright generate DIR TEXT."""

import sys
from pathlib import Path
from typing import Annotated

import typer

STARTER = Path("runs/starter/sft")
Directory = Annotated[
    Path, typer.Argument(help="A model directory, or the folder of a training run.")
]
Settings = Annotated[
    list[str] | None,
    typer.Argument(
        help="Sampling settings as key=value, for example temperature=0.5 seed=7 max_tokens=200."
    ),
]


def chat(
    directory: Directory = STARTER,
    settings: Settings = None,
    system: Annotated[
        str, typer.Option("--system", help="Instructions that open the conversation.")
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="For scripts: one JSON object a line on standard output, and nothing else there. "
            'A line that fails gives {"error": ...}, and the exit status is 1; a / command that is '
            'no question gives {"note": ...}. Begin a message that starts with / with //.',
        ),
    ] = False,
) -> None:
    """Talk to a model in the terminal, or from a pipe: one line, one message. /help shows what can be done there."""
    from chatwright.checkpoint import model_directory
    from chatwright.cli.load_model import called, open_assistant, read_sampling
    from chatwright.cli.terminal.display import JsonLines, Screen
    from chatwright.cli.terminal.pipe import line_reader
    from chatwright.cli.terminal.sampling_settings import CHAT_TEMPERATURE
    from chatwright.cli.terminal.terminal import Terminal

    found = model_directory.find(
        directory
    )  # once: a training that goes on may save another in between
    assistant, sampling, name = (
        open_assistant(found),
        read_sampling(settings or [], temperature=CHAT_TEMPERATURE),
        called(directory, found),
    )
    if as_json:
        replies = JsonLines()
        Terminal(assistant, replies, line_reader(sys.stdin), None, sampling, system, name).run()
        raise typer.Exit(1 if replies.n_failed else 0)
    if sys.stdin.isatty() and sys.stdout.isatty():
        from chatwright.cli.terminal.keyboard import (
            Keyboard,  # a pipe needs neither the library nor the time it takes to load
        )

        keyboard = Keyboard()
        Terminal(assistant, Screen(), keyboard.read, keyboard.edit, sampling, system, name).run()
    else:
        Terminal(assistant, Screen(), line_reader(sys.stdin), None, sampling, system, name).run()


def generate(
    directory: Directory,
    text: Annotated[str, typer.Argument(help="The text to continue.")] = "",
    settings: Settings = None,
) -> None:
    """Continue a text, without any conversation around it."""
    from chatwright.cli.load_model import open_assistant, read_sampling

    assistant = open_assistant(directory)
    sys.stdout.write(text)
    for piece in assistant.stream_completion(text, read_sampling(settings or [])):
        sys.stdout.write(piece)
        sys.stdout.flush()
    print()
