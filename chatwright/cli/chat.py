"""Talk to a model: `chatwright chat DIR`; continue a text: `chatwright generate DIR TEXT`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import (
    MODEL_HELP,
    CacheMemory,
    MaxContext,
    MaxReplies,
    ModelDirectory,
    SamplingSettings,
    Weights,
    memory_limits,
)
from chatwright.cli.status_line import StatusLine
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.chat.assistant import Assistant
    from chatwright.engine.cache_plan import MemoryLimits
    from chatwright.engine.messages import SamplingConfig

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
    max_context: MaxContext = None,
    max_replies: MaxReplies = None,
    cache_memory: CacheMemory = "",
    weights: Weights = "float32",
) -> None:
    """Talk to a model in the terminal.

    Through a pipe, each line is one message. /help lists the commands of the terminal.
    """
    limits = memory_limits(max_context, max_replies, cache_memory, weights)
    assistant, sampling, name = _open(directory, settings or [], limits)
    n_failed = _converse(assistant, sampling, system, name, as_json)
    if as_json and n_failed:
        raise typer.Exit(1)


def _open(
    directory: Path, settings: list[str], limits: "MemoryLimits"
) -> tuple["Assistant", "SamplingConfig", str]:
    """Open the model in one slot; return it with the sampling settings and its name."""
    with StatusLine(f"Opening {directory}") as status:
        status.show("loading PyTorch")
        from chatwright.chat.dialogue import CHAT_TEMPERATURE
        from chatwright.checkpoint import model_directory
        from chatwright.checkpoint.registry import holds_registry
        from chatwright.cli.load_model import model_name, open_assistant, read_sampling
        from chatwright.pipeline import model_names
        from chatwright.pipeline.sampling_defaults import read_sampling_defaults

        if directory == STARTER and holds_registry(STARTER.parent):
            directory = STARTER.parent
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
        defaults = {"temperature": CHAT_TEMPERATURE, **read_sampling_defaults(found)}
        sampling = read_sampling(settings, **defaults)
        assistant = open_assistant(found, limits, n_reply=1, status=status)
        return assistant, sampling, model_name(directory, found)


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
    with StatusLine(f"Opening {directory}") as status:
        status.show("loading PyTorch")
        from chatwright.cli.load_model import open_assistant, read_sampling

        assistant = open_assistant(directory, n_reply=1, status=status)
    sys.stdout.write(text)
    for piece in assistant.stream_completion(text, read_sampling(settings or [])):
        sys.stdout.write(piece)
        sys.stdout.flush()
    print()
