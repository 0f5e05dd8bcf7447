"""Serve a model on this machine: `chatwright serve DIR`."""

from chatwright.cli.options import (
    CacheMemory,
    MaxContext,
    MaxReplies,
    ModelDirectory,
    Port,
    memory_limits,
)
from chatwright.cli.status_line import StatusLine


def serve(
    directory: ModelDirectory,
    port: Port = 8000,
    max_context: MaxContext = None,
    max_replies: MaxReplies = None,
    cache_memory: CacheMemory = "",
) -> None:
    """Serve a chat page and an API.

    The API is compatible with OpenAI's. Both are reachable from this machine only.
    """
    limits = memory_limits(max_context, max_replies, cache_memory)
    with StatusLine(f"Opening {directory}", keeps_lines=True) as status:
        status.show("loading PyTorch")
        from chatwright.checkpoint import model_directory
        from chatwright.cli.load_model import (
            follow,
            identity_of,
            open_assistant,
            version_description,
        )
        from chatwright.server.engine_thread import Limits
        from chatwright.server.http_server import serve as serve_app

        description = version_description(directory)
        found = model_directory.find(directory)
        assistant = open_assistant(found, limits, status=status)
        identity = identity_of(directory, found, assistant)
    serve_app(
        assistant,
        directory.resolve().name,
        port,
        limits=Limits(max_live=assistant.engine.config.n_slot),
        description=description,
        identity=identity,
        beside=lambda service: follow(directory, found, service, limits),
    )
