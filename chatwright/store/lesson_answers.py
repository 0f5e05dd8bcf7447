"""What users answer before and after each lesson."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chatwright.store.database import Database
from chatwright.store.schema import LESSON_ANSWERS


@dataclass(frozen=True, kw_only=True)
class LessonAnswer:
    """The answers of one user to the question of one lesson."""

    lesson: str
    before: int | None
    """Number of the option that was chosen before the lesson, from 0; None: none yet."""
    after: int | None
    """The same after the lesson."""
    has_checked: bool
    """Whether the check of the lesson was run."""


class LessonAnswers:
    """The answers in a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, user_id: str, answer: LessonAnswer) -> None:
        """Store the answers to one lesson in place of earlier ones."""
        values = {
            "before": answer.before,
            "after": answer.after,
            "has_checked": answer.has_checked,
        }
        table = LESSON_ANSWERS
        is_it = (table.c.user_id == user_id, table.c.lesson == answer.lesson)
        with self._database.write() as connection:
            if connection.execute(sa.update(table).where(*is_it).values(**values)).rowcount == 0:
                row = {"user_id": user_id, "lesson": answer.lesson, **values}
                connection.execute(sa.insert(table).values(row))

    def of_user(self, user_id: str) -> tuple[LessonAnswer, ...]:
        """Return the answers of a user."""
        return self.of_all(user_id).get(user_id, ())

    def of_all(self, user_id: str | None = None) -> dict[str, tuple[LessonAnswer, ...]]:
        """Return the answers of all users, or of one, by user."""
        query = sa.select(LESSON_ANSWERS).order_by(
            LESSON_ANSWERS.c.user_id, LESSON_ANSWERS.c.lesson
        )
        if user_id is not None:
            query = query.where(LESSON_ANSWERS.c.user_id == user_id)
        found: dict[str, tuple[LessonAnswer, ...]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                found[row.user_id] = (*found.get(row.user_id, ()), _answer(row))
        return found


def _answer(row: Any) -> LessonAnswer:
    return LessonAnswer(
        lesson=row.lesson, before=row.before, after=row.after, has_checked=row.has_checked
    )
