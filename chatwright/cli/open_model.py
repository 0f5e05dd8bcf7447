"""Serve a model that is not built here: fetch it if needed, open it, show the page meanwhile."""

import sys
import threading
from typing import TYPE_CHECKING

from chatwright.cli.status_line import StatusLine
from chatwright.commands import command_line

if TYPE_CHECKING:
    from chatwright.engine.cache_plan import MemoryLimits


def serve_open_model(name: str, port: int, limits: "MemoryLimits") -> None:
    """Serve the model that `chatwright up NAME` names, within these limits, until Ctrl-C.

    The page is there from the beginning and shows what is being done.
    """
    print(f"opening {name} (loading PyTorch takes a few seconds)", file=sys.stderr, flush=True)
    from chatwright.checkpoint import model_directory
    from chatwright.cli.fetch import fetch_watcher
    from chatwright.cli.load_model import (
        SERVED_REPLIES,
        follow,
        identity_of,
        open_assistant,
        version_description,
    )
    from chatwright.pipeline.model_names import fetched_directory
    from chatwright.pipeline.up_target import open_model_directory
    from chatwright.server.engine_thread import Limits
    from chatwright.server.http_server import serve_in_thread
    from chatwright.server.opening_status import OpeningStatus

    status = OpeningStatus(name)
    served_name = fetched_directory(name).name
    at_once = Limits(max_live=limits.max_replies or SERVED_REPLIES)
    with serve_in_thread(served_name, port, status=status.status, limits=at_once) as (
        service,
        address,
    ):
        print(f"the page is at {address}", flush=True)
        with fetch_watcher(status.say, status.downloaded) as watcher:
            directory = open_model_directory(name, watcher)
        status.say(f"opening {directory}")
        found = model_directory.find(directory)
        with StatusLine(f"Opening {directory}", keeps_lines=True) as line:
            assistant = open_assistant(found, limits, status=line)
            identity = identity_of(directory, found, assistant.engine)
            service.publish(assistant, served_name, version_description(directory), identity)
        status.set_ready()
        chat = command_line("chat", directory)
        with follow(directory, found, service, limits):
            print(
                f"ready: talk to it at {address}, or in the terminal: {chat}   (Ctrl-C stops)",
                flush=True,
            )
            wait_for_stop()


def wait_for_stop() -> None:
    """Return when Ctrl-C or SIGTERM asks the program to stop."""
    from chatwright.cli.progress import stop_on_signal

    with stop_on_signal("stopping") as should_stop:
        while not should_stop():
            threading.Event().wait(0.2)
