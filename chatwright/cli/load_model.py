"""Load what several verbs need: a model to talk to, a tokenizer, sampling settings."""

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from chatwright import config as config_files
from chatwright.chat.assistant import Assistant
from chatwright.checkpoint import model_directory, registry, run_directory
from chatwright.cli.status_line import NoStatus, StatusLine
from chatwright.devices import available_memory
from chatwright.engine.cache_plan import MemoryLimits, plan_cache
from chatwright.engine.engine import Engine, EngineConfig
from chatwright.engine.forward import token_memory
from chatwright.engine.messages import AnyEngine, SamplingConfig
from chatwright.errors import InputError
from chatwright.model.gpt import GPT
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.tokenizer.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from chatwright.server.model_identity import ModelIdentity
    from chatwright.server.service import Service

SERVED_REPLIES = 8
"""Replies that a server generates together, if they fit in memory."""
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
    model, tokenizer = model_directory.load(found)
    engine = open_engine(model, limits, n_reply, status)
    if starter_corpus(found) is None:
        return Assistant(engine, tokenizer)
    from chatwright.starter import SimulatedTools  # imported here: it takes 0.1 s

    return Assistant(engine, tokenizer, SimulatedTools())


def open_engine(model: GPT, limits: MemoryLimits, n_reply: int, status: StatusLine) -> Engine:
    """Open an engine that keeps only the packed weights; the model cannot be used otherwise."""
    memory = token_memory(model, EngineConfig().prefill_tokens)
    plan = plan_cache(limits, memory, model.config.context_length, n_reply, available_memory())
    if plan.note:
        status.note(plan.note)
    status.show("packing the weights")
    config = EngineConfig(n_slot=plan.n_slot, context_length=plan.context_length)
    engine = Engine(model, config, keeps_weights=False)
    if plan.n_slot > 1:  # a single reply has no other in its batch
        status.show("checking that replies do not depend on each other")
        if engine.batch_variance:
            status.note(
                "Replies may differ in their last digits when several are generated together: "
                f"{engine.batch_variance}."
            )
    return engine


def open_sampling_assistant(
    directory: Path, status: StatusLine, n_reply: int = SAMPLED_REPLIES
) -> tuple[Assistant, str]:
    """Load a model for sampling many replies; return it with the hash of its weights.

    Tools are not run: a tool call is a reply.
    """
    status.show("reading the weights")
    found = model_directory.find(directory)
    model, tokenizer = model_directory.load(found)
    engine = open_engine(model, MemoryLimits(), n_reply, status)
    return Assistant(engine, tokenizer), model_directory.weights_hash(found)


def model_name(directory: Path, found: Path) -> str:
    """Return how to call the model at `found`: the directory the user gave.

    For an unfinished run, the name includes the checkpoint that answers; for a directory of
    versions, the version.
    """
    if version := version_description(directory):
        return f"{directory}, {version}"
    if run_directory.is_checkpoint(found):
        return f"{directory}, {found.name} of an unfinished training run"
    return str(directory)


def version_description(directory: Path) -> str:
    """Describe the version that the registry of a directory serves; "" without a registry."""
    if not registry.holds_registry(directory):
        return ""
    version = registry.read(directory).current
    return f"version {version.name}, {version.id[:12]}"


def identity_of(directory: Path, found: Path, engine: AnyEngine | None = None) -> "ModelIdentity":
    """Return which weights a server serves.

    Args:
        directory: The directory that the user gave, perhaps one with versions.
        found: The model directory that was opened.
        engine: The engine with the model; an encoder has none, and its bits never vary.
    """
    from chatwright.server.model_identity import ModelIdentity

    has_versions = registry.holds_registry(directory)
    has_batch = engine is not None and engine.n_slot > 1
    return ModelIdentity(
        weights=model_directory.weights_hash(found),
        created=int(found.stat().st_mtime),
        version=registry.read(directory).current.name if has_versions else "",
        registry=directory if has_versions else None,
        batch_variance=engine.batch_variance if engine is not None and has_batch else "",
    )


def follow(
    directory: Path, served: Path, service: "Service", limits: MemoryLimits
) -> AbstractContextManager[None]:
    """Serve another version as soon as the registry of `directory` names it.

    Args:
        directory: The directory of the versions.
        served: The model directory that is served at the beginning.
        service: The server's.
        limits: What the user set about memory.
    """
    from chatwright.server.served_versions import follow_versions

    def publish(model: Path) -> None:
        assistant = open_assistant(model, limits)
        identity = identity_of(directory, model, assistant.engine)
        service.publish(assistant, service.model_name, version_description(directory), identity)

    def warn(message: str) -> None:
        print(message, file=sys.stderr, flush=True)

    return follow_versions(directory, served, publish, warn)


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
