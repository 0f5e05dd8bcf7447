"""Serve the version that a registry names, also after `chatwright models promote` or `rollback`.

A thread looks at the registry's file about once a second. When another version is served, it is
opened beside the current one and then takes its place. Open replies end on the weights they began
with. If the new version cannot be opened, the current one stays.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from chatwright.checkpoint import registry
from chatwright.checkpoint.find_model import find
from chatwright.server.repeated_look import look_repeatedly

LOOK_SECONDS = 1.0
"""Time between two looks at the registry's file."""
NO_FILE = (0, 0)


def follow_versions(
    directory: Path,
    served: Path,
    publish: Callable[[Path], None],
    warn: Callable[[str], None],
    seconds: float = LOOK_SECONDS,
) -> AbstractContextManager[None]:
    """Call `publish` whenever the registry of `directory` serves another version.

    Args:
        directory: The directory of the versions. Its registry may also begin later.
        served: The model directory that is served at the beginning.
        publish: Opens the model directory of a version and serves it.
        warn: Receives why a version cannot be served.
        seconds: Time between two looks.
    """
    follower = _Follower(directory, served, publish, warn)
    # The end does not wait for a model that is being opened.
    return look_repeatedly(follower.look, "versions", seconds, patience=LOOK_SECONDS)


class _Follower:
    """Remembers the registry's last state and the model that is served."""

    def __init__(
        self,
        directory: Path,
        served: Path,
        publish: Callable[[Path], None],
        warn: Callable[[str], None],
    ) -> None:
        self.directory = directory
        self.served = served.resolve()
        self.publish = publish
        self.warn = warn
        self.seen = NO_FILE

    def look(self) -> None:
        """Publish the served version if the registry has changed and names another one."""
        state = self._state()
        if state in (self.seen, NO_FILE):
            return
        self.seen = state
        try:
            model = find(self.directory).resolve()
            if model != self.served:
                self.publish(model)
                self.served = model
        except (ValueError, OSError, MemoryError) as error:
            self.warn(f"the served model stays as it is: {error}")

    def _state(self) -> tuple[int, int]:
        """Return time of change and size of the registry's file."""
        try:
            status = (self.directory / registry.REGISTRY_FILE).stat()
        except OSError:
            return NO_FILE
        return (status.st_mtime_ns, status.st_size)
