"""The text of a row for comparisons: normalized, as one string or as words.

Deduplication and the search for contamination use it. Training never reads normalized text.
"""

from __future__ import annotations

import re
import unicodedata

from chatwright.conversation import Conversation, Message
from chatwright.data.rows import (
    ChatRow,
    CorrectionRow,
    PreferenceRow,
    PromptRow,
    RankedRow,
    Row,
    ScoredPair,
    SentencePair,
    TextPair,
    TextRow,
    ThumbRow,
)
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

WORD = re.compile(r"\w+")


ConversationRow = ChatRow | PromptRow | PreferenceRow | RankedRow | ThumbRow | CorrectionRow
"""Rows that hold messages."""


def messages_of(row: ConversationRow) -> Conversation:
    """Return the messages of a row; of feedback, the prompt and then every ending."""
    if isinstance(row, ChatRow | PromptRow):
        return row.messages
    return (*row.prompt, *(message for ending in endings_of(row).values() for message in ending))


def endings_of(
    row: PreferenceRow | RankedRow | ThumbRow | CorrectionRow,
) -> dict[str, tuple[Message, ...]]:
    """Return the endings of a prompt by name, for example "chosen"."""
    if isinstance(row, PreferenceRow):
        return {"chosen": row.chosen, "rejected": row.rejected}
    if isinstance(row, RankedRow):
        numbered = enumerate(zip(row.ranks, row.endings, strict=True), 1)
        return {f"reply {number}, rank {rank}": ending for number, (rank, ending) in numbered}
    if isinstance(row, ThumbRow):
        return {"good" if row.is_good else "bad": row.reply}
    return {"better": row.better, "reply": row.reply}


def texts_of(row: Row) -> list[tuple[str, str]]:
    """Return the texts of a row with their names, for example ("user", "Hello!")."""
    if isinstance(row, TextRow):
        return [("text", row.text)]
    if isinstance(row, SentencePair):
        return [("source", row.source), ("target", row.target)]
    if isinstance(row, TextPair):
        negative = [] if row.negative is None else [("negative", row.negative)]
        return [("anchor", row.anchor), ("positive", row.positive), *negative]
    if isinstance(row, ScoredPair):
        return [("sentence1", row.first), ("sentence2", row.second)]
    if isinstance(row, ChatRow | PromptRow):
        return [(turn_kind(message), message_text(message)) for message in row.messages]
    prompt = [(turn_kind(message), message_text(message)) for message in row.prompt]
    endings = endings_of(row).items()
    return prompt + [
        (name, message_text(message)) for name, ending in endings for message in ending
    ]


def normalized(text: str) -> str:
    """Return the text without differences in case, white space and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def identity(row: Row) -> str:
    """Return a string that is equal for rows that teach the same.

    Roles count: the same words with another role teach something else.
    """
    if isinstance(row, TextRow):
        return normalized(row.text)
    return "\n".join(f"{name}: {normalized(text)}" for name, text in texts_of(row))


def words(row: Row) -> list[str]:
    """Return the words in order, without punctuation and without system messages.

    All rows of a data set may have the same system message, which must not make them similar.
    """
    texts = [text for name, text in texts_of(row) if name != "system"]
    return [word for text in texts for word in WORD.findall(normalized(text))]
