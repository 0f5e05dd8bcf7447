"""Full-text search in a user's messages.

All words must occur in one message. The last one may be the beginning of a word, if it has three
letters: a single letter begins so many words that the search takes seconds. In writing systems
without spaces, where a word may be a whole sentence, one letter is enough. The owner is part of the
index in SQLite, so a search does not read what belongs to others. The words are those
of the database: letters and digits, in any case; SQLite also ignores accents.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import sqlalchemy as sa

from chatwright.store.database import Database
from chatwright.store.schema import CONVERSATIONS, MESSAGES

WORD = re.compile(r"\w+")
MAX_WORDS = 20
SHORTEST_BEGINNING = 3  # letters of the beginning of a word
SHOWN_BEFORE = 60  # characters of a message before the first match
SHOWN_AFTER = 140
# The expression of the index in migrations/versions/v0001_first_tables.py.
POSTGRESQL_WORDS = (
    r"to_tsvector('simple', regexp_replace(left(messages.text, 100000), '\W+', ' ', 'g'))"
)


@dataclass(frozen=True)
class SnippetPiece:
    """A piece of the text around a match."""

    text: str
    is_match: bool


@dataclass(frozen=True)
class Hit:
    """A message that was found."""

    conversation: str
    title: str
    message: str
    role: str
    created: str
    snippet: tuple[SnippetPiece, ...]


class Search:
    """The search of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, user_id: str, text: str, limit: int = 20) -> tuple[Hit, ...]:
        """Return the messages of a user that hold all words of `text`, the latest first."""
        words = WORD.findall(text.replace("_", " "))[:MAX_WORDS]
        if not words:
            return ()
        query = (
            sa.select(
                MESSAGES.c.conversation_id,
                CONVERSATIONS.c.title,
                MESSAGES.c.id,
                MESSAGES.c.role,
                MESSAGES.c.created,
                MESSAGES.c.text,
            )
            .join(CONVERSATIONS, CONVERSATIONS.c.id == MESSAGES.c.conversation_id)
            .where(MESSAGES.c.user_id == user_id, CONVERSATIONS.c.user_id == user_id)
            .limit(limit)
        )
        if self._database.is_sqlite:
            # A table of its own in the query, so that SQLite walks the index backwards.
            index = sa.table("message_search", sa.column("rowid"))
            query = query.join(index, index.c.rowid == MESSAGES.c.number)
            query = query.where(sa.text("message_search MATCH :words"))
            query = query.order_by(index.c.rowid.desc())
            words_query = _sqlite_words(user_id, words)
        else:
            is_match = sa.text(f"{POSTGRESQL_WORDS} @@ to_tsquery('simple', :words)")
            query = query.where(is_match).order_by(MESSAGES.c.number.desc())
            words_query = " & ".join(words) + (":*" if is_beginning(words[-1]) else "")
        with self._database.read() as connection:
            rows = connection.execute(query, {"words": words_query}).all()
        return tuple(
            Hit(
                row.conversation_id,
                row.title,
                row.id,
                row.role,
                row.created,
                snippet(row.text, words),
            )
            for row in rows
        )


def snippet(text: str, words: list[str]) -> tuple[SnippetPiece, ...]:
    """Return the text around the first word that was searched, cut into pieces."""
    searched = [_folded(word) for word in words]

    def is_match(word: str) -> bool:
        folded = _folded(word)
        return folded in searched or (is_beginning(words[-1]) and folded.startswith(searched[-1]))

    first = next((word.start() for word in WORD.finditer(text) if is_match(word[0])), 0)
    start = max(0, first - SHOWN_BEFORE)
    shown = text[start : first + SHOWN_AFTER]
    pieces: list[SnippetPiece] = []
    end = 0
    for word in WORD.finditer(shown):
        if is_match(word[0]):
            pieces += [SnippetPiece(shown[end : word.start()], False), SnippetPiece(word[0], True)]
            end = word.end()
    pieces.append(SnippetPiece(shown[end:], False))
    return tuple(piece for piece in pieces if piece.text)


def is_beginning(word: str) -> bool:
    """Whether the last word of a search also finds the words that begin with it."""
    return len(word) >= SHORTEST_BEGINNING or not word.isascii()


def _sqlite_words(user_id: str, words: list[str]) -> str:
    quoted = " AND ".join(f'"{word}"' for word in words)
    star = " *" if is_beginning(words[-1]) else ""
    return f'{{user_id}} : "{user_id}" AND {{text}} : ({quoted}{star})'


def _folded(word: str) -> str:
    """Return a word in lower case without accents."""
    letters = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
