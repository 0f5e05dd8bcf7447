"""Compare a derived chat format with its template, on conversations that were not probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatwright.conversation import Message, Text, Thinking
from chatwright.tokenizer.build_format import Markers, build_format
from chatwright.tokenizer.chat_format import END, PROMPT
from chatwright.tokenizer.conversation_parts import conversation_parts
from chatwright.tokenizer.format_data import FormatData
from chatwright.tokenizer.templates.derive import NotExpressible, Outcomes
from chatwright.tokenizer.templates.probes import Probe

SHOWN = 30
"""Characters of a difference that are shown."""
QUESTIONS = (
    "Hi!",
    "  What is 12 + 30?\nShow the steps. \n",
    "Write {{ user }} and {% if x %} in <b>HTML</b> & \"JSON\": {'a': [1, 2.50]}",
    "Übersetze: \u4e2d\u6587, \u0440\u0443\u0441\u0441\u043a\u0438\u0439, \U0001f642 e\u0301",
    "42",
)
ANSWERS = (
    "Hello! How can I help?",
    "12 + 30 = **42**.\n\n1. Add the tens.\n2. Add the ones.\n",
    "```python\ndef f(x):\n    return x\n```",
    "\n\n Yes. ",
    "I don't know.",
)
SYSTEMS = ("You are terse.", ' Answer in rhyme.\nBe kind; say "no" rarely.\n\n', "Role: pilot")
THOUGHTS = ("The user greets me.", "Let me add.\n\n12 + 30 is 42.")


@dataclass(frozen=True)
class Sample:
    """A conversation and what the template made of it."""

    name: str
    probe: Probe
    thinking: bool | None
    text: str


@dataclass(frozen=True)
class Abilities:
    """Which conversations a template can be compared on."""

    has_system: bool = True
    """Whether it writes system texts."""
    has_answered_system: bool = True
    """Whether it writes them also where an answer ends the conversation. Templates that put the
    system text into the last question may write it in prompts only."""
    thinks: bool = True
    """Whether its model thinks."""
    keeps_thinking: bool = True
    """Whether it writes the thinking of the last answer."""


def conversations(abilities: Abilities) -> dict[str, Probe]:
    """Return the conversations to compare: some with a system text, some with thinking."""
    found: dict[str, Probe] = {}
    for n_question in range(1, len(QUESTIONS) + 1):
        turns = list(_turns(n_question))
        found[f"{n_question} questions"] = Probe(turns[:-1], is_prompt=True)
        found[f"{n_question} answers"] = Probe(turns)
        if abilities.has_system:
            system = Message("system", SYSTEMS[n_question % len(SYSTEMS)])
            found[f"system and {n_question} questions"] = Probe([system, *turns[:-1]], True)
            if abilities.has_answered_system:
                found[f"system and {n_question} answers"] = Probe([system, *turns])
    if abilities.thinks:
        turns = list(_turns(3, THOUGHTS))
        found["3 questions with thinking"] = Probe(turns[:-1], is_prompt=True)
    if abilities.thinks and abilities.keeps_thinking:
        found["3 answers with thinking"] = Probe(turns)
        found["1 answer with thinking"] = Probe(turns[:2])
    return found


def _turns(n_question: int, thoughts: tuple[str, ...] = ()) -> Iterator[Message]:
    for index in range(n_question):
        # Begin elsewhere each time, so that each text is the first and the last of a conversation.
        number = (index + n_question) % len(QUESTIONS)
        yield Message("user", QUESTIONS[number])
        parts: list[Text | Thinking] = [Text(ANSWERS[number])]
        if thoughts:
            parts.insert(0, Thinking(thoughts[index % len(thoughts)]))
        yield Message("assistant", parts)


def require_equal_texts(
    data: FormatData, probes: dict[str, Probe], outcomes: Outcomes, thinking: bool | None
) -> list[Sample]:
    """Raise NotExpressible with the first difference; else return the texts compared."""
    chat_format = build_format("template", data, Markers())
    samples = []
    for name, probe in probes.items():
        outcome = outcomes[name]
        if outcome.error:
            raise NotExpressible(f"the template fails for {name}: {outcome.error}")
        ending = PROMPT if probe.is_prompt else END
        parts = conversation_parts(probe.messages, chat_format, thinking=thinking, ending=ending)
        written = "".join(str(part.piece) for part in parts)
        if written != outcome.text:
            raise NotExpressible(difference(name, outcome.text, written))
        samples.append(Sample(name, probe, thinking, outcome.text))
    return samples


def difference(name: str, expected: Sequence[object], written: Sequence[object]) -> str:
    """Return an explanation of the first difference of two texts, or of two lists of tokens."""
    start = next(
        (i for i, (a, b) in enumerate(zip(expected, written, strict=False)) if a != b),
        min(len(expected), len(written)),
    )
    start = max(0, start - SHOWN // 3)
    return (
        f"for a conversation of {name} the template gives {expected[start : start + SHOWN]!a} "
        f"where the format derived from it gives {written[start : start + SHOWN]!a}"
    )
