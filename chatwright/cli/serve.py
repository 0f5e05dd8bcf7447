"""Serve a model on this machine: `chatwright serve DIR`."""

from chatwright.cli.options import ModelDirectory, Port


def serve(directory: ModelDirectory, port: Port = 8000) -> None:
    """Serve a chat page and an API.

    The API is compatible with OpenAI's. Both are reachable from this machine only.
    """
    from chatwright.cli.load_model import open_assistant
    from chatwright.server.http_server import serve as serve_app

    serve_app(open_assistant(directory), directory.resolve().name, port)
