"""The store: one database, with an interface for each kind of thing in it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from chatwright.store.api_keys import ApiKeys
from chatwright.store.audit import Audit
from chatwright.store.backup import Backups
from chatwright.store.conversations import Conversations
from chatwright.store.database import Database
from chatwright.store.feedback import FeedbackTable
from chatwright.store.invitations import Invitations
from chatwright.store.lesson_answers import LessonAnswers
from chatwright.store.messages import Messages
from chatwright.store.rating_queue import RatingQueue
from chatwright.store.search import Search
from chatwright.store.sessions import Sessions
from chatwright.store.shared_links import SharedLinks
from chatwright.store.users import Users


class Store:
    """An open store. Threads may share it; close it at the end."""

    def __init__(self, address: str | Path) -> None:
        """Open an SQLite file or postgresql://USER@HOST/NAME. Raises InputError."""
        self.database = Database(address)
        self.users = Users(self.database)
        self.invitations = Invitations(self.database)
        self.sessions = Sessions(self.database)
        self.api_keys = ApiKeys(self.database)
        self.conversations = Conversations(self.database)
        self.messages = Messages(self.database)
        self.search = Search(self.database)
        self.feedback = FeedbackTable(self.database)
        self.queue = RatingQueue(self.database)
        self.links = SharedLinks(self.database)
        self.lessons = LessonAnswers(self.database)
        self.audit = Audit(self.database)
        self.backups = Backups(self.database)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Store:
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()
