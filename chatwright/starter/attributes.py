"""The attributes of people, towns, objects and shops, with the sentence patterns about them.

The patterns are in `patterns/people.toml` and `patterns/things.toml`; the head of `people.toml`
explains the slots. The exam, the held-out evaluation set, has other questions than training.
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
    """Sentences that begin with the value, for documents."""
    questions: tuple[str, ...]
    """Questions for training conversations."""
    clauses: tuple[str, ...]
    """Clauses that name the attribute in a request: "where Mira lives"."""
    nouns: tuple[str, ...]
    """Noun phrases that name the attribute in a request: "Mira's home"."""
    exam_questions: tuple[str, ...]
    follow_ups: tuple[str, ...]
    """Follow-up questions, with a pronoun for the person. Empty for towns, objects and shops."""
    exam_follow_ups: tuple[str, ...]
    premise_questions: tuple[str, ...]
    """Questions that presuppose the value. Empty for towns, objects and shops."""
    exam_premise_questions: tuple[str, ...]


def _read_attributes(path: str) -> dict[str, Attribute]:
    file = DataFile(path)
    list_names = [name for name in Attribute.__annotations__ if name not in ("name", "answer")]
    return {
        name: Attribute(
            name,
            file.text(f"{name}.answer"),
            **{list_name: file.get(f"{name}.{list_name}") for list_name in list_names},
        )
        for name in file.names()
    }


PERSON_ATTRIBUTES = _read_attributes("patterns/people.toml")
THING_ATTRIBUTES = _read_attributes("patterns/things.toml")
ATTRIBUTES = PERSON_ATTRIBUTES | THING_ATTRIBUTES
