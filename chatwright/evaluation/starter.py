"""The examination of a model of the starter world: one score per skill, with its interval.

    score(replier, items) -> {"skills": {"fact_closed": {"score":, "n":, "low":, "high":}, ...}, "stopped": {...}}

An item is right or wrong, nothing between. A reply counts only if it stopped by itself, is of the kind asked for (a
command or words), holds what it must, names no competing answer, and is short. So neither repeating the question nor
saying everything scores. It does not judge grammar or charm: a clumsy right answer is right.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.conversation import Message
from chatwright.evaluation.interval import wilson
from chatwright.starter.conversations.jokes import is_training_joke
from chatwright.starter.item import Item
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text

SKILLS = (
    "fact_closed", "fact_open", "follow_up", "correction_right", "correction_wrong", "false_premise", "refusal", "command", "command_reply",
    "changing_fact", "sentiment", "summary", "translation", "passage_qa", "arithmetic", "repeat", "joke", "stop",
)  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What a model said to a prompt. `stopped` is False when only a length limit ended it."""

    message: Message
    stopped: bool = True


Replier = Callable[[Sequence[Sequence[Message]]], Sequence[Reply]]


def score(replier: Replier, items: Sequence[Item]) -> dict[str, Any]:
    """Ask everything at once (so that a replier may batch) and count the right answers of each skill."""
    replies = list(replier([item.messages for item in items]))
    if len(replies) != len(items):
        raise ValueError(
            f"the replier gave {len(replies)} replies to {len(items)} prompts; it must give one for each, in order"
        )
    results = [(item, is_right(item, reply)) for item, reply in zip(items, replies, strict=True)]
    skills: dict[str, Any] = {}
    for skill in dict.fromkeys(item.skill for item in items):
        own = [(item, right) for item, right in results if item.skill == skill]
        skills[skill] = _share(right for _, right in own)
        # Known from the prose and read from the conversation are different abilities: never only their mean.
        books = sorted({item.book for item, _ in own if item.book})
        if len(books) > 1:
            skills[skill]["books"] = {
                book: _share(right for item, right in own if item.book == book) for book in books
            }
        # A skill rarely fails item by item: whole ways of asking are misread while the others are right.
        ways = sorted({item.template for item, _ in own})
        skills[skill]["ways"] = {
            way: _share(right for item, right in own if item.template == way) for way in ways
        }
    return {"skills": skills, "stopped": _share(reply.stopped for reply in replies)}


def _share(outcomes: Iterable[bool]) -> dict[str, Any]:
    counted = list(outcomes)
    low, high = wilson(sum(counted), len(counted))
    return {"score": sum(counted) / len(counted), "n": len(counted), "low": low, "high": high}


def is_right(item: Item, reply: Reply) -> bool:
    """The whole rule for one reply."""
    text = message_text(reply.message)
    if not reply.stopped or turn_kind(reply.message) != turn_kind(item.expected):
        return False
    if item.check == "command":
        return " ".join(text.split()) == item.must[0][0]
    if len(text.split()) > item.max_words:
        return False
    if item.check == "exact":
        return plain(without_announcement(text)) == plain(item.must[0][0])
    if item.check == "number":
        return _number_is_right(item, text)
    if any(holds(text, wrong) for wrong in item.forbid) or any(
        holds(without_denials(text, wrong), wrong) for wrong in item.deniable
    ):
        return False
    if not all(
        any(holds(without_denials(text, right), right) for right in group) for group in item.must
    ):
        return False
    return item.check != "joke" or (is_complete_joke(text) and not is_training_joke(text))


def plain(text: str) -> str:
    """Lower case, one space, without quotes and the full stop at the end."""
    return " ".join(text.lower().strip(" .!\"'\n").split())


def without_announcement(text: str) -> str:
    """ "From 2 to 4! 2, 3, 4!" and "Two times bell: bell, bell." say what follows; "2, 3! 2, 3, 4!" and "The dog! The cat!" say two things."""
    opening, *rest = re.split("[:!] ", text, maxsplit=1)
    if not rest or "," in opening:
        return text
    if text[len(opening)] == "!":
        ends, items = re.fullmatch("from (.+) to (.+)", opening.lower()), plain(rest[0]).split(", ")
        return rest[0] if ends and [ends[1], ends[2]] == [items[0], items[-1]] else text
    return rest[0]


def holds(text: str, phrase: str) -> bool:
    """As whole words, in any case; "art" is not in "party", 12 is not in 312 or 12.5, and an address is not a part of another."""
    before = r"(?<![\w@.+-])" if "@" in phrase else r"(?<![\w@])"
    return (
        re.search(
            rf"{before}(?<!\d[.,:-]){re.escape(phrase.lower())}(?![\w@]|[.,:-]\w)", text.lower()
        )
        is not None
    )


def without_denials(text: str, phrase: str) -> str:
    """ "She is a miller, not a baker" does not say that she is a baker; nor does "I said baker" or "You say baker"."""
    text = re.sub(rf"\b(I said|you say) {re.escape(phrase)}\b", "", text, flags=re.IGNORECASE)
    between = "a|an|the|in|on|at|as|by|from|of|called|live|work|have|like|love|own|choose|think"  # "isn't a baker", "did not work as a baker"
    return re.sub(
        rf"\b(not|never|no|\w+n't) (({between}) ){{0,3}}{re.escape(phrase)}\b",
        "",
        text,
        flags=re.IGNORECASE,
    )


def _number_is_right(item: Item, text: str) -> bool:
    numbers = re.findall(r"(?<!\d)-?\d+", text)
    right = item.must[0][0]
    return bool(numbers) and numbers[-1] == right and set(numbers) <= {right, *item.deniable}


def is_complete_joke(text: str) -> bool:
    """A question, then a punchline of at least three words that ends; and no word over and over."""
    setup, asked, punchline = text.strip().rpartition("?")
    said = re.findall(r"[a-z']+", text.lower())
    return (
        bool(asked)
        and len(setup.split()) >= 5
        and len(punchline.split()) >= 3
        and punchline[-1] in ".!"
        and max(map(said.count, said)) <= 5
    )
