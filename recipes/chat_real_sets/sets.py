"""The public data sets: names, licenses and folders (sets.json), and their readers."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat_real_sets import (
    conversations,
    facts,
    identity,
    instructions,
    jokes,
    prose,
    tinystories,
    tool_dialogues,
    trivia,
)
from chat_real_sets.cleaning import Dropped

READERS: dict[str, Callable[[Path, Dropped], Iterator[Any]]] = {
    "classic-books": prose.classic_books,
    "openstax": prose.openstax,
    "pratham-stories": prose.pratham_stories,
    "tinystories": tinystories.tinystories,
    "open-trivia-qa": trivia.trivia_prose,
    "masc": prose.masc,
    "speeches": prose.speeches,
    "dialogues": conversations.plain_dialogues,
    "identity": identity.identity,
    "dolly": instructions.dolly,
    "raschka-instructions": instructions.raschka,
    "chatterbot": conversations.chatterbot,
    "persona-chat": conversations.persona_chat,
    "topical-chat": conversations.topical_chat,
    "gpteacher-roleplay": instructions.gpteacher_roleplay,
    "gpteacher-toolformer": tool_dialogues.toolformer,
    "glaive-commands": tool_dialogues.glaive,
    "gsm8k": instructions.gsm8k,
    "task-dialogues": tool_dialogues.task_dialogues,
    "safety-refusals": instructions.safety_refusals,
    "jokes": jokes.jokes,
    "glossary": facts.glossary,
    "trivia": trivia.trivia_chat,
    "stories": conversations.stories,
    "t0": instructions.t0,
    "falseqa": instructions.falseqa,
    "llamafactory-chosen": instructions.llamafactory_chosen,
    "reddit-jokes": jokes.reddit_jokes,
}
FACTBOOK = {"pretrain": facts.factbook_prose, "chat": facts.factbook_chat}


@dataclass(frozen=True)
class DataSet:
    """A public data set and what may be done with it."""

    name: str
    read: Callable[[Path, Dropped], Iterator[Any]]
    """Yields documents or conversations, and counts what it drops."""
    folders: tuple[str, ...]
    """Where its files are, below the folder with the data sets."""
    license: str
    is_unclear: bool = False
    """Whether no license is stated."""


def data_sets(kind: str) -> tuple[DataSet, ...]:
    """Return the sets for "pretrain" or "chat", in the order in which they are written."""
    listed = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return tuple(
        DataSet(
            name=row["name"],
            read=FACTBOOK[kind] if row["name"] == "factbook" else READERS[row["name"]],
            folders=tuple(row["folders"]),
            license=row["license"],
            is_unclear=row.get("is_unclear", False),
        )
        for row in listed[kind]
    )


PRETRAIN = data_sets("pretrain")
CHAT = data_sets("chat")
