"""Greetings, thanks, farewells, questions about the assistant, and topics that it does not know.

The exam, the held-out evaluation set, has no such conversations.
"""

import random

from chatwright.conversation import Message
from chatwright.starter.data_file import DataFile
from chatwright.starter.fact_table import FactTable
from chatwright.starter.messages import assistant, user
from chatwright.starter.phrasing import capitalize_first

_PATTERNS = DataFile("patterns/smalltalk.toml")
_UNKNOWN_TOPIC_SHARE = 0.25  # of the messages
# Frequent kinds of message are listed twice.
_KINDS = (
    "greeting",
    "greeting",
    "how_are_you",
    "who_are_you",
    "who_are_you",
    "abilities",
    "abilities",
    "thanks",
    "farewell",
    "sadness",
    "joy",
    "unclear",
    "french",
)


def draw_conversation(table: FactTable, rng: random.Random) -> list[Message]:
    """Draw a message of small talk and a reply."""
    slots = {"name": rng.choice(table.people).name, "town": rng.choice(table.towns).name}
    if rng.random() < _UNKNOWN_TOPIC_SHARE:
        slots["topic"] = rng.choice(_PATTERNS["unknown_topic.topics"])
        message = _PATTERNS.draw("unknown_topic.messages", rng).format(topic=slots["topic"])
        reply = rng.choice(_PATTERNS["unknown_topic.replies"])
    else:
        kind = rng.choice(_KINDS)
        message = capitalize_first(_PATTERNS.draw(f"{kind}.messages", rng))
        reply = rng.choice(_PATTERNS[f"{kind}.replies"])
    return [user(message), assistant(reply.format(**slots))]
