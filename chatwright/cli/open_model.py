"""Serve a model that is not built here: fetch it if needed, open it, show the page meanwhile."""

import sys
import threading
from typing import TYPE_CHECKING

from chatwright.cli.open_store import served_store
from chatwright.cli.status_line import StatusLine
from chatwright.commands import command_line

if TYPE_CHECKING:
    from chatwright.engine.cache_plan import MemoryLimits


def serve_open_model(name: str, port: int, limits: "MemoryLimits") -> None:
    """Serve the model that `chatwright up NAME` names, within these limits, until Ctrl-C.

    The page is there from the beginning and shows what is being done.
    """
    print(f"opening {name} (loading PyTorch takes a few seconds)", file=sys.stderr, flush=True)
    from chatwright.cli.fetch import fetch_watcher
    from chatwright.cli.served_models import served_models
    from chatwright.engine.cache_plan import SERVED_REPLIES
    from chatwright.pipeline.model_names import fetched_directory
    from chatwright.pipeline.up_target import open_model_directory
    from chatwright.server.http_server import serve_in_thread
    from chatwright.server.opening_status import OpeningStatus
    from chatwright.server.replies.engine_thread import Limits

    status = OpeningStatus(name)
    served_name = fetched_directory(name).name
    at_once = Limits.of_engine(limits.max_replies or SERVED_REPLIES)
    with (
        served_models(limits) as models,
        served_store() as users,
        serve_in_thread(
            served_name, port, status=status.status, limits=at_once, accounts=users
        ) as (service, address),
    ):
        print(f"the page is at {address}", flush=True)
        with fetch_watcher(status.say, status.downloaded) as watcher:
            directory = open_model_directory(name, watcher, limits.weights)
        status.say(f"opening {directory}")
        with StatusLine(f"Opening {directory}", keeps_lines=True) as line:
            opened = models.publish(service, directory, status=line)
        status.set_ready()
        chat = command_line("chat", directory)
        with models.follow(directory, opened.facts.directory, service):
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
