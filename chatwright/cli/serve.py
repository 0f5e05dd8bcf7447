"""Serve a model on this machine: `chatwright serve DIR`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.cli.options import (
    CacheMemory,
    MaxContext,
    MaxReplies,
    ModelDirectory,
    Port,
    memory_limits,
    named_model,
)
from chatwright.cli.status_line import StatusLine
from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.server.status import Status


def serve(
    directory: ModelDirectory,
    port: Port = 8000,
    max_context: MaxContext = None,
    max_replies: MaxReplies = None,
    cache_memory: CacheMemory = "",
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="An encoder that computes vectors of texts beside the model: /v1/embeddings.",
            callback=named_model,
        ),
    ] = None,
) -> None:
    """Serve a chat page and an API.

    The API is compatible with OpenAI's. Both are reachable from this machine only. If DIRECTORY
    holds an encoder, only vectors of texts are served.
    """
    limits = memory_limits(max_context, max_replies, cache_memory)
    with StatusLine(f"Opening {directory}", keeps_lines=True) as status:
        status.show("loading PyTorch")
        from chatwright.checkpoint import model_directory
        from chatwright.cli.load_embedder import holds_encoder, open_embedder
        from chatwright.cli.load_model import (
            follow,
            identity_of,
            open_assistant,
            version_description,
        )
        from chatwright.server.engine_thread import Limits
        from chatwright.server.http_server import serve as serve_app

        embedder = None if embeddings is None else open_embedder(embeddings)
        is_encoder = holds_encoder(directory)
        if not is_encoder:
            description = version_description(directory)
            found = model_directory.find(directory)
            assistant = open_assistant(found, limits, status=status)
            identity = identity_of(directory, found, assistant.engine)
    if is_encoder:
        _serve_encoder(directory, embeddings, port)
        return
    serve_app(
        assistant,
        directory.resolve().name,
        port,
        limits=Limits(max_live=assistant.engine.n_slot),
        description=description,
        identity=identity,
        embedder=embedder,
        beside=lambda service: follow(directory, found, service, limits),
    )


def _serve_encoder(directory: Path, embeddings: Path | None, port: int) -> None:
    """Serve only vectors of texts."""
    from chatwright.cli.load_embedder import open_embedder
    from chatwright.server.http_server import serve as serve_app

    if embeddings is not None:
        raise InputError(
            f"{directory} is an encoder itself, so --embeddings {embeddings} is one too many.",
            remedy="Leave out --embeddings, or serve a model that replies.",
            field="embeddings",
            value=str(embeddings),
        )
    serve_app(
        None,
        directory.resolve().name,
        port,
        status=_encoder_status,
        embedder=open_embedder(directory),
    )


def _encoder_status() -> "Status":
    from chatwright.server.status import Status

    return Status(state="ready", stage="Vectors of texts: POST /v1/embeddings", fraction=1.0)
