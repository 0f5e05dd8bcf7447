"""A row's text as comparisons see it: normalised, as one string or as words.

Used by deduplication and contamination only; nothing normalised is ever trained on.
"""

from __future__ import annotations

import re
import unicodedata

from chatwright.conversation import Conversation
from chatwright.data.rows import ChatRow, Row, TextRow
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

WORD = re.compile(r"\w+")


def conversation_of(row: Row) -> Conversation:
    assert not isinstance(row, TextRow), "a text row has no turns"
    return row.messages if isinstance(row, ChatRow) else (*row.prompt, *row.chosen, *row.rejected)


def normalised(text: str) -> str:
    """Equal for texts that differ only in case, white space and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def identity(row: Row) -> str:
    """Equal for rows that teach the same. Roles count: the same words said by someone else are another row."""
    if isinstance(row, TextRow):
        return normalised(row.text)
    return "\n".join(
        f"{turn_kind(message)}: {normalised(message_text(message))}"
        for message in conversation_of(row)
    )


def words(row: Row) -> list[str]:
    """The words in order, without punctuation. System turns are left out: every row of a set may share one."""
    if isinstance(row, TextRow):
        return WORD.findall(normalised(row.text))
    spoken = (message_text(message) for message in conversation_of(row) if message.role != "system")
    return [word for content in spoken for word in WORD.findall(normalised(content))]
