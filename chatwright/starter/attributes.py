"""The attributes of people, towns, objects and shops, and all sentences about them.

The sentences are in `patterns/people.toml` and `patterns/things.toml`; the head of `people.toml`
explains the slots.
"""

from dataclasses import dataclass

from chatwright.starter.data_file import DataFile


@dataclass(frozen=True)
class Attribute:
    """One attribute, such as the home of a person, and the sentence patterns about it."""

    name: str
    answer: str
    """The sentence that answers a question."""
    statements: tuple[str, ...]
    """Sentences for documents."""
    statements_from_value: tuple[str, ...]
    """Sentences for documents that begin with the value."""
    questions: tuple[str, ...]
    """Training questions. The exam's are separate, here and below."""
    clauses: tuple[str, ...]
    """What is asked, as a clause: "where Mira lives"."""
    nouns: tuple[str, ...]
    """What is asked, as a noun phrase: "Mira's home"."""
    exam_questions: tuple[str, ...]
    follow_ups: tuple[str, ...]
    """Questions after an earlier one, with a pronoun for the person. Only people have them."""
    exam_follow_ups: tuple[str, ...]
    premise_questions: tuple[str, ...]
    """Questions that presuppose the value. Only people have them."""
    exam_premise_questions: tuple[str, ...]


def _read(path: str) -> dict[str, Attribute]:
    file = DataFile(path)
    lists = [name for name in Attribute.__annotations__ if name not in ("name", "answer")]
    return {
        name: Attribute(
            name,
            file.text(f"{name}.answer"),
            **{patterns: file.get(f"{name}.{patterns}") for patterns in lists},
        )
        for name in file.names()
    }


PERSON_ATTRIBUTES = _read("patterns/people.toml")
THING_ATTRIBUTES = _read("patterns/things.toml")
ATTRIBUTES = PERSON_ATTRIBUTES | THING_ATTRIBUTES
