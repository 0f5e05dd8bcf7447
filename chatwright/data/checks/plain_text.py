"""The text of a row for comparisons: normalized, as one string or as words.

Deduplication and the search for contamination use it. Training never reads normalized text.
"""

from __future__ import annotations

import re
import unicodedata

from chatwright.conversation import Conversation
from chatwright.data.rows import (
    ChatRow,
    PreferenceRow,
    PromptRow,
    Row,
    ScoredPair,
    SentencePair,
    TextPair,
    TextRow,
)
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

WORD = re.compile(r"\w+")


def messages_of(row: ChatRow | PreferenceRow | PromptRow) -> Conversation:
    """Return the messages of a row; of a preference, the prompt and then both endings."""
    if isinstance(row, PreferenceRow):
        return (*row.prompt, *row.chosen, *row.rejected)
    return row.messages


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
    return [(turn_kind(message), message_text(message)) for message in messages_of(row)]


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
