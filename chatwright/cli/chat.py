"""Talk to a model: `chatwright chat DIR`; continue a text: `chatwright generate DIR TEXT`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import MODEL_HELP, ModelDirectory, SamplingSettings
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.chat.assistant import Assistant
    from chatwright.engine.sampling import SamplingConfig

STARTER = Path("runs/starter/sft")


def chat(
    directory: Annotated[Path, typer.Argument(help=MODEL_HELP)] = STARTER,
    settings: SamplingSettings = None,
    system: Annotated[
        str,
        typer.Option("--system", help="System prompt: instructions for the whole conversation."),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="For scripts: print one JSON object per line and nothing else. A line that fails "
            'prints {"error": ...}, and the exit status is 1. A / command that asks nothing prints '
            '{"note": ...}. Begin a message that starts with / with //.',
        ),
    ] = False,
) -> None:
    """Talk to a model in the terminal.

    Through a pipe, each line is one message. /help lists the commands of the terminal.
    """
    from chatwright.chat.dialogue import CHAT_TEMPERATURE
    from chatwright.checkpoint import model_directory
    from chatwright.cli.load_model import model_name, open_assistant, read_sampling
    from chatwright.pipeline import model_names

    if directory == STARTER and not directory.exists():
        raise InputError(
            f"{STARTER}: the starter model is not built yet.",
            remedy="Build it with chatwright up, or give the directory of another model.",
            field="DIRECTORY",
            value=str(directory),
        )
    directory = model_names.model_directory(directory)
    # Find the model only once: a run in progress may save another checkpoint meanwhile.
    found = model_directory.find(directory)
    sampling = read_sampling(settings or [], temperature=CHAT_TEMPERATURE)
    name = model_name(directory, found)
    n_failed = _converse(open_assistant(found), sampling, system, name, as_json)
    if as_json and n_failed:
        raise typer.Exit(1)


def _converse(
    assistant: "Assistant", sampling: "SamplingConfig", system: str, name: str, as_json: bool
) -> int:
    """Run the conversation; return how many lines failed with --json, else 0."""
    from chatwright.cli.terminal.display import JsonLines, Screen
    from chatwright.cli.terminal.pipe import line_reader
    from chatwright.cli.terminal.terminal import Terminal

    if as_json:
        replies = JsonLines()
        Terminal(assistant, replies, line_reader(sys.stdin), None, sampling, system, name).run()
        return replies.n_failed
    if sys.stdin.isatty() and sys.stdout.isatty():
        # A pipe needs no prompt_toolkit, nor the time to import it.
        from chatwright.cli.terminal.keyboard import Keyboard

        keyboard = Keyboard()
        Terminal(assistant, Screen(), keyboard.read, keyboard.edit, sampling, system, name).run()
    else:
        Terminal(assistant, Screen(), line_reader(sys.stdin), None, sampling, system, name).run()
    return 0


def generate(
    directory: ModelDirectory,
    text: Annotated[str, typer.Argument(help="The text to continue.")] = "",
    settings: SamplingSettings = None,
) -> None:
    """Continue a text, without a conversation."""
    from chatwright.cli.load_model import open_assistant, read_sampling

    assistant = open_assistant(directory)
    sys.stdout.write(text)
    for piece in assistant.stream_completion(text, read_sampling(settings or [])):
        sys.stdout.write(piece)
        sys.stdout.flush()
    print()
