"""Erase from a running server's memory what it holds of users who are deleted.

`chatwright forget USER` deletes a user from the store, in a process of its own. A thread of the
server reads the store's audit log every two seconds and passes each deletion on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

from chatwright.server.repeated_look import look_repeatedly
from chatwright.store.audit import Audit

LOOK_SECONDS = 2.0
"""Time between two looks at the audit log."""
DELETION = "user.forget"

log = logging.getLogger("chatwright.server")


class DeletedUsers:
    """Passes on every deletion of a user after the server's start."""

    def __init__(self, audit: Audit, forget: Callable[[str], None]) -> None:
        """Begin after the deletions until now; nothing of those users is in memory."""
        self._audit = audit
        self._forget = forget
        self._last = max((number for number, _ in audit.subjects_after(0, DELETION)), default=0)

    def look(self) -> None:
        """Pass on the deletions since the last look; a failed one is tried again later."""
        for number, user in self._audit.subjects_after(self._last, DELETION):
            self._forget(user)
            self._last = number


def follow_deletions(
    audit: Audit, forget: Callable[[str], None], seconds: float = LOOK_SECONDS
) -> AbstractContextManager[None]:
    """Call `forget` with the id of each user who is deleted while the context is open."""
    deleted = DeletedUsers(audit, forget)

    def look() -> None:
        try:
            deleted.look()
        except Exception as error:  # the database is busy: the next look tries again
            log.error("deletions could not be followed: %s", type(error).__name__)

    return look_repeatedly(look, "deleted users", seconds, patience=seconds)
