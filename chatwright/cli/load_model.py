"""Load what several verbs need: a model to talk to, a tokenizer, sampling settings."""

from collections.abc import Iterable
from pathlib import Path

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory, run_directory, versions
from chatwright.cli.status_line import NoStatus, StatusLine
from chatwright.engine.cache_plan import SERVED_REPLIES, MemoryLimits
from chatwright.engine.messages import SamplingConfig
from chatwright.errors import InputError
from chatwright.pipeline.open_engine import load_for_format, open_engine
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

SAMPLED_REPLIES = 16
"""Replies that are sampled together for feedback, if they fit in memory."""


def open_assistant(
    directory: Path,
    limits: MemoryLimits = MemoryLimits(),
    n_reply: int = SERVED_REPLIES,
    status: StatusLine | None = None,
) -> Assistant:
    """Load a model for talking. A model of the starter comes with its simulated tools.

    Args:
        directory: A model directory or a training run.
        limits: What the user set about memory.
        n_reply: Number of replies that are generated together, if they fit and the user set none.
        status: Shows what is being done, and notes about memory.

    Raises:
        InputError: The directory holds no model for talking, or it does not fit in memory.
    """
    status = status or NoStatus("")
    status.show("reading the weights")
    found = model_directory.find(directory)
    model, tokenizer = load_for_format(found, limits.weights)
    engine = open_engine(model, limits, n_reply, status.show, status.note)
    if starter_corpus(found) is None:
        return Assistant(engine, tokenizer)
    from chatwright.starter import SimulatedTools  # imported here: it takes 0.1 s

    return Assistant(engine, tokenizer, SimulatedTools())


def open_sampling_assistant(
    directory: Path, status: StatusLine, n_reply: int = SAMPLED_REPLIES
) -> tuple[Assistant, str]:
    """Load a model for sampling many replies; return it with the hash of its weights.

    Tools are not run: a tool call is a reply.
    """
    status.show("reading the weights")
    found = model_directory.find(directory)
    model, tokenizer = model_directory.load(found)
    engine = open_engine(model, MemoryLimits(), n_reply, status.show, status.note)
    return Assistant(engine, tokenizer), model_directory.weights_hash(found)


def model_name(directory: Path, found: Path) -> str:
    """Return how to call the model at `found`: the directory the user gave.

    For an unfinished run, the name includes the checkpoint that answers; for a directory of
    versions, the version.
    """
    if version := versions.served_description(directory):
        return f"{directory}, {version}"
    if run_directory.is_checkpoint(found):
        return f"{directory}, {found.name} of an unfinished training run"
    return str(directory)


def open_tokenizer(directory: Path) -> Tokenizer:
    """Load the tokenizer of the model in a directory, or a tokenizer saved without a model."""
    try:
        return load_tokenizer(model_directory.find(directory))
    except ValueError:
        return load_tokenizer(directory)


def read_sampling(overrides: Iterable[str], **defaults: float) -> SamplingConfig:
    """Build sampling settings from key=value pairs.

    Raises:
        InputError: A key or value is wrong, or several replies are asked for.
    """
    table = config_files.merge(defaults, config_files.parse_overrides(overrides))
    config = config_files.build(SamplingConfig, table, "sampling")
    if config.n_generated > 1:
        raise InputError(
            f"n={config.n} best_of={config.best_of}: the command line gives one reply at a time.",
            remedy="Leave out n and best_of.",
            field="n" if config.n > 1 else "best_of",
            value=config.n if config.n > 1 else config.best_of,
        )
    return config
