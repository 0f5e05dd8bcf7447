"""Score the exam (the held-out evaluation set) of the starter corpus, skill by skill.

    score_exam(replier, items)["skills"]["fact_closed"] -> {"score":, "n":, "low":, "high":, ...}

Each score has a 95 % interval. A reply is right or wrong; there is no partial credit. A right reply
ended before the length limit, is of the expected kind (a tool call or text), contains the required
phrases and no wrong answer, and is short. A model that repeats the question or names every answer
therefore scores 0. The exam does not judge grammar or style.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chatwright.conversation import Message
from chatwright.evaluation.interval import wilson
from chatwright.starter.conversations.jokes import is_training_joke
from chatwright.starter.exam_item import ExamItem
from chatwright.tokenizer.chat_format import turn_kind
from chatwright.tokenizer.tool_call_text import message_text


@dataclass(frozen=True)
class Reply:
    """A model's reply to a prompt. `stopped` is False if a length limit cut the reply."""

    message: Message
    stopped: bool = True


Replier = Callable[[Sequence[Sequence[Message]]], Sequence[Reply]]


def score_exam(replier: Replier, items: Sequence[ExamItem]) -> dict[str, Any]:
    """Score each skill. The replier gets all prompts at once, so that it can batch them."""
    replies = list(replier([item.messages for item in items]))
    assert len(replies) == len(items), f"{len(replies)} replies to {len(items)} prompts"
    results = [(item, is_right(item, reply)) for item, reply in zip(items, replies, strict=True)]
    skills = dict.fromkeys(item.skill for item in items)
    return {
        "skills": {
            skill: _score_skill([result for result in results if result[0].skill == skill])
            for skill in skills
        },
        "stopped": _share(reply.stopped for reply in replies),
    }


def _score_skill(results: list[tuple[ExamItem, bool]]) -> dict[str, Any]:
    score = _share(right for _, right in results)
    # Closed-book items need a fact from training, open-book items a fact in the prompt.
    by_setting = _scores_by([(item.setting, right) for item, right in results if item.setting])
    if len(by_setting) > 1:
        score["books"] = by_setting
    # A model often fails all items of one template and none of the others.
    score["templates"] = _scores_by([(item.template, right) for item, right in results])
    return score


def _scores_by(results: list[tuple[str, bool]]) -> dict[str, Any]:
    groups = sorted({group for group, _ in results})
    return {group: _share(right for other, right in results if other == group) for group in groups}


def _share(outcomes: Iterable[bool]) -> dict[str, Any]:
    counted = list(outcomes)
    low, high = wilson(sum(counted), len(counted))
    return {"score": sum(counted) / len(counted), "n": len(counted), "low": low, "high": high}


def is_right(item: ExamItem, reply: Reply) -> bool:
    """Judge one reply by the rule of its item."""
    text = message_text(reply.message)
    if not reply.stopped or turn_kind(reply.message) != turn_kind(item.expected):
        return False
    if item.check == "command":
        return " ".join(text.split()) == item.required[0][0]
    if len(text.split()) > item.max_words:
        return False
    if item.check == "exact":
        return normalize(without_announcement(text)) == normalize(item.required[0][0])
    if item.check == "number":
        return _has_right_number(item, text)
    if not _has_required_and_nothing_forbidden(item, text):
        return False
    return item.check != "joke" or (is_complete_joke(text) and not is_training_joke(text))


def _has_required_and_nothing_forbidden(item: ExamItem, text: str) -> bool:
    if any(contains(text, wrong) for wrong in item.forbidden):
        return False
    if any(asserts(text, wrong) for wrong in item.forbidden_unless_denied):
        return False
    return all(any(asserts(text, phrase) for phrase in group) for group in item.required)


def _has_right_number(item: ExamItem, text: str) -> bool:
    numbers = re.findall(r"(?<!\d)-?\d+", text)
    right = item.required[0][0]
    allowed = {right, *item.forbidden_unless_denied}
    return bool(numbers) and numbers[-1] == right and set(numbers) <= allowed


def normalize(text: str) -> str:
    """Lower-case, with single spaces, without quotes and punctuation at both ends."""
    return " ".join(text.lower().strip(" .!\"'\n").split())


def without_announcement(text: str) -> str:
    """Remove a beginning that announces the answer.

    "From 2 to 4! 2, 3, 4!" and "Two times bell: bell, bell." announce it. "2, 3! 2, 3, 4!" and
    "The dog! The cat!" do not: they give two answers, and stay as they are.
    """
    opening, *rest = re.split("[:!] ", text, maxsplit=1)
    if not rest or "," in opening:
        return text
    if text[len(opening)] == ":":
        return rest[0]
    ends = re.fullmatch("from (.+) to (.+)", opening.lower())
    entries = normalize(rest[0]).split(", ")
    is_announcement = ends and [ends[1], ends[2]] == [entries[0], entries[-1]]
    return rest[0] if is_announcement else text


def contains(text: str, phrase: str) -> bool:
    """Whether a phrase occurs as whole words; upper and lower case count as equal.

    "party" does not contain "art", 312 and 12.5 do not contain 12, and a longer e-mail address
    does not contain a shorter one.
    """
    not_in_word = r"(?<![\w@.+-])" if "@" in phrase else r"(?<![\w@])"
    pattern = rf"{not_in_word}(?<!\d[.,:-]){re.escape(phrase.lower())}(?![\w@]|[.,:-]\w)"
    return re.search(pattern, text.lower()) is not None


def asserts(text: str, phrase: str) -> bool:
    """Whether a phrase occurs outside denials ("not a baker") and quotes ("I said baker")."""
    return contains(_without_denials_and_quotes(text, phrase), phrase)


def _without_denials_and_quotes(text: str, phrase: str) -> str:
    words = re.escape(phrase)
    text = re.sub(rf"\b(I said|you say) {words}\b", "", text, flags=re.IGNORECASE)
    # Up to three of these words may follow the negation: "did not work as a baker".
    fillers = "a|an|the|in|on|at|as|by|from|of|called|live|work|have|like|love|own|choose|think"
    denial = rf"\b(not|never|no|\w+n't) (({fillers}) ){{0,3}}{words}\b"
    return re.sub(denial, "", text, flags=re.IGNORECASE)


def is_complete_joke(text: str) -> bool:
    """Whether a joke has a question of five words or more and a punchline of three or more.

    The punchline must end with . or !, and no word may occur more than five times.
    """
    setup, question_mark, punchline = text.strip().rpartition("?")
    words = re.findall(r"[a-z']+", text.lower())
    return (
        bool(question_mark)
        and len(setup.split()) >= 5
        and len(punchline.split()) >= 3
        and punchline[-1] in ".!"
        and max(map(words.count, words)) <= 5
    )
