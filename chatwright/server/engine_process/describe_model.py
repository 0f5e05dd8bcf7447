"""Describe the models that the engine's process has opened."""

from pathlib import Path

from chatwright.checkpoint import model_directory, registry
from chatwright.engine.engine import Engine
from chatwright.pipeline.reply_dependencies import reply_dependencies
from chatwright.pipeline.sampling_defaults import read_sampling_defaults
from chatwright.pipeline.starter_corpus import starter_corpus
from chatwright.server.engine_process.opened_model import OpenedModel
from chatwright.server.model_identity import ModelIdentity
from chatwright.tasks.embed import Embedder


def text_model_facts(path: Path, engine: Engine) -> OpenedModel:
    """Describe an opened decoder. `path` is the directory that the user gave."""
    found = model_directory.find(path)
    return OpenedModel(
        directory=found,
        identity=identity_of(path, found, engine),
        vocab_size=engine.vocab_size,
        context_length=engine.context_length,
        n_slot=engine.n_slot,
        n_layer=engine.forward.config.n_layer,
        n_head=engine.forward.config.n_head,
        is_starter=starter_corpus(found) is not None,
    )


def embedder_facts(path: Path, embedder: Embedder) -> OpenedModel:
    """Describe an opened encoder."""
    found = model_directory.find(path)
    return OpenedModel(
        directory=found,
        identity=identity_of(path, found),
        context_length=embedder.max_length,
        vector_size=embedder.vector_size,
    )


def identity_of(directory: Path, found: Path, engine: Engine | None = None) -> ModelIdentity:
    """Return which weights a server serves.

    Args:
        directory: The directory that the user gave, perhaps one with versions.
        found: The model directory that was opened.
        engine: The engine with the model; an encoder has none, and its bits never vary.
    """
    facts = (
        reply_dependencies(found, engine.config.weights) if engine else reply_dependencies(found)
    )
    has_versions = registry.holds_registry(directory)
    # A single reply has no other in its batch.
    reason = engine.batch_dependence_reason if engine is not None and engine.n_slot > 1 else ""
    return ModelIdentity(
        weights=facts.weights,
        tokenizer=facts.tokenizer,
        created=int(found.stat().st_mtime),
        version=registry.read(directory).current.name if has_versions else "",
        registry=directory if has_versions else None,
        batch_dependence_reason=reason,
        build=facts.build,
        sampling=read_sampling_defaults(found),
    )
