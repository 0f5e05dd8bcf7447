"""Split prompts into three parts that share no entity and no template.

    training     for feedback, and for reinforcement learning
    validation   for validating a reward model
    judge        for win rates; drawn from the exam side of the corpus

An entity is a name, an e-mail address or a phone number in the prompt. In a prompt without names,
it is the combination of the numbers and list words of the last message. A template is the wording
of the question without names, numbers and list words. The spelling alone decides the part, so no
seed can move a prompt.
"""

import re
import zlib
from collections.abc import Sequence
from typing import Literal

from chatwright.conversation import Message
from chatwright.starter.feedback.named_facts import facts_in, known_names, mask, names_in
from chatwright.starter.split import is_held_out

Part = Literal["training", "validation", "judge"]
_LONGEST_QUESTION = 3
"""Messages of more sentences hold a story or a text, whose wording is no part of the question."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def entities_of(messages: Sequence[Message]) -> set[str]:
    """Return the entities of a prompt."""
    text = " ".join(message.text for message in messages)
    names = set(names_in(text))
    if names:
        return names
    facts = sorted(set(facts_in(messages[-1].text)))
    return {" ".join(facts)} if facts else set()


def template_of(messages: Sequence[Message]) -> str:
    """Return the wording of the last message; of a story, its sentences with a question mark."""
    sentences = _SENTENCE_END.split(messages[-1].text)
    if len(sentences) > _LONGEST_QUESTION:
        sentences = [text for text in sentences if text.endswith("?")] or sentences
    return " / ".join(mask(sentence) for sentence in sentences)


def _share(key: str) -> float:
    """Return a number in [0, 1) that depends on the spelling alone."""
    return zlib.crc32(f"feedback {key}".encode()) % 10_000 / 10_000


def part_of_entity(entity: str) -> Part:
    """Return the part of an entity. Invented names that the corpus holds out are for the judge."""
    if names_in(entity) == [entity] and entity not in known_names():
        if is_held_out(entity):
            return "judge"
        return "training" if _share(entity) < 0.6 else "validation"
    share = _share(entity)
    return "training" if share < 0.55 else "validation" if share < 0.8 else "judge"


def part_of_template(template: str) -> Part:
    """Return the part of a template of the training side; the judge's are all from the exam."""
    return "training" if _share(template) < 0.7 else "validation"


def is_in_part(messages: Sequence[Message], part: Part) -> bool:
    """Whether all entities of a prompt are in the part, and its template too."""
    if any(part_of_entity(entity) != part for entity in entities_of(messages)):
        return False
    return part == "judge" or part_of_template(template_of(messages)) == part
