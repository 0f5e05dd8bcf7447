"""Prompts of the starter corpus for feedback, for validating a reward model, and for the judge.

    draw_prompts(table, "training", 500, seed=0)   -> prompts with a right reply
    draw_judge_items(table, 300, seed=0)           -> exam items with the kind as skill
    write_prompt_sets(folder, table, seed=0)       -> training.jsonl, validation.jsonl, judge.jsonl

The three parts share no entity and no template (`prompt_split.py`).
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_table import FactTable
from chatwright.starter.feedback.prompt_kinds import PROMPT_KINDS, SMALL_TALK
from chatwright.starter.feedback.prompt_split import Part, is_in_part

N_TRAINING = 2_000
N_VALIDATION = 300
N_JUDGE = 400
_MAX_FAILURES = 20_000
"""Draws in a row without a new prompt after which a kind is exhausted."""
_MANY_RIGHT = (SMALL_TALK, "refusal")
"""Kinds of prompts to which many different replies are right."""
Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class StarterPrompt:
    """A prompt, and a right reply that the simulated raters know."""

    kind: str
    messages: tuple[Message, ...]
    reference: Message

    @property
    def answer(self) -> str | None:
        """The answer for rules such as `right_number`; None where many replies are right."""
        if self.kind in _MANY_RIGHT:
            return None
        if self.kind == "arithmetic":
            last = self.reference.text.rstrip(".").split()[-1]
            return last if last.isdigit() else None
        return self.reference.text

    def as_row(self) -> dict[str, Any]:
        """Return a row with the columns of a prompt row, and the reference."""
        answer = {} if self.answer is None else {"answer": self.answer}
        return {
            "prompt": [_message_row(message) for message in self.messages],
            **answer,
            "kind": self.kind,
            "reference": self.reference.text,
        }


def draw_prompts(table: FactTable, part: Part, count: int, seed: int) -> list[StarterPrompt]:
    """Draw `count` different prompts of the part "training" or "validation"."""
    rng = random.Random(f"starter-feedback-{part}-{seed}")

    def draw(index: int) -> StarterPrompt | None:
        kind = PROMPT_KINDS[index]
        *messages, reference = kind.draw_turns(table, rng)
        prompt = StarterPrompt(kind.name, _plain(messages), reference)
        return prompt if is_in_part(messages, part) else None

    return _draw_different(draw, lambda prompt: prompt.messages, count, rng)


def draw_judge_items(table: FactTable, count: int, seed: int) -> list[ExamItem]:
    """Draw `count` different items for the judge; their skill is the kind of prompt."""
    rng = random.Random(f"starter-feedback-judge-{seed}")

    def draw(index: int) -> ExamItem | None:
        kind = PROMPT_KINDS[index]
        item = kind.draw_item(table, rng)
        item = replace(item, skill=kind.name, messages=_plain(item.messages))
        return item if is_in_part(item.messages, "judge") else None

    return _draw_different(draw, lambda item: item.messages, count, rng)


def _draw_different(
    draw: Callable[[int], Drawn | None],
    prompt_of: Callable[[Drawn], tuple[Message, ...]],
    count: int,
    rng: random.Random,
) -> list[Drawn]:
    """Draw kinds by their weights, and of each kind until a new prompt comes."""
    weights = [kind.weight for kind in PROMPT_KINDS]
    drawn: list[Drawn] = []
    seen: set[tuple[Message, ...]] = set()
    while len(drawn) < count:
        if not any(weights):
            raise InputError(
                f"There are only {len(drawn)} different prompts, not {count}.",
                remedy=f"Ask for at most {len(drawn)} prompts.",
                field="count",
                value=count,
            )
        index = rng.choices(range(len(weights)), weights)[0]
        for _ in range(_MAX_FAILURES):
            found = draw(index)
            if found is not None and prompt_of(found) not in seen:
                seen.add(prompt_of(found))
                drawn.append(found)
                break
        else:
            weights[index] = 0
    return drawn


def _plain(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the messages as they are after writing and reading, without a mark for training."""
    return tuple(Message(message.role, message.parts) for message in messages)


def judge_row(item: ExamItem) -> dict[str, Any]:
    """Return a row with the columns of a prompt row, and the item for the judge."""
    answer = {} if item.skill in _MANY_RIGHT else {"answer": item.expected.text}
    return {
        "prompt": [_message_row(message) for message in item.messages],
        **answer,
        "kind": item.skill,
        "item": item.as_row(),
    }


def write_prompt_sets(
    folder: Path,
    table: FactTable,
    seed: int = 0,
    n_training: int = N_TRAINING,
    n_validation: int = N_VALIDATION,
    n_judge: int = N_JUDGE,
) -> dict[str, int]:
    """Write the three files and return the number of rows of each."""
    rows = {
        "training.jsonl": [p.as_row() for p in draw_prompts(table, "training", n_training, seed)],
        "validation.jsonl": [
            p.as_row() for p in draw_prompts(table, "validation", n_validation, seed)
        ],
        "judge.jsonl": [judge_row(item) for item in draw_judge_items(table, n_judge, seed)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, of_file in rows.items():
        (folder / name).write_text(_lines(of_file), encoding="utf-8", newline="\n")
    return {name: len(of_file) for name, of_file in rows.items()}


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _message_row(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.text}
