"""Who the model is: questions and answers written for this project.

They are few, but each is asked in many ways and repeated, because people ask them first.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from chat_real_sets.cleaning import Dropped, Turn, dialogue

ROWS = [
    (row["questions"], row["answers"])
    for row in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
]
"""Questions with the same meaning, and the answers to them."""

REPEATS = 12
"""How often the rows are repeated: one conversation in 30 is about the model itself.

Once each would be one in 400, and would have little weight among people who talk about themselves.
"""


def identity(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the conversations about the model, repeated."""
    for _ in range(REPEATS):
        yield from once()


def once() -> Iterator[list[Turn]]:
    """Yield every question with every answer, and conversations that begin with a greeting."""
    for questions, answers in ROWS:
        for question in questions:
            for answer in answers:
                yield dialogue(question, answer)
    for (questions, answers), (next_questions, next_answers) in zip(
        ROWS, ROWS[1:] + ROWS[:1], strict=True
    ):
        yield dialogue(
            "Hello!",
            "Hello! How can I help you?",
            questions[0],
            answers[0],
            next_questions[-1],
            next_answers[0],
        )
