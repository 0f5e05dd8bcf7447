"""One attribute of a person, town, object or shop: every way it is stated, asked, asked again and taken for granted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attribute:
    name: str
    statements: tuple[str, ...]  # prose
    reverse: tuple[str, ...]  # prose that starts at the value
    ask: tuple[str, ...]
    ask_held: tuple[str, ...]
    answer: str
    again: tuple[str, ...] = ()  # follow-up, said with a pronoun
    again_held: tuple[str, ...] = ()
    premise: tuple[str, ...] = ()  # questions that take {v} for granted
    premise_held: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()  # what is wanted, as a clause: "tell me ..., do you know ..."
    nouns: tuple[str, ...] = ()  # the same as a noun phrase: "give me ..., what about ..."


# Requests for a clause ("where Mira lives") and for a noun phrase ("Mira's home"), put in at X.
