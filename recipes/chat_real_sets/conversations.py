"""Conversations of several turns: small talk, people with a persona, stories on request."""

import csv
import io
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import (
    CODE_FENCE,
    PLACEHOLDER,
    Dropped,
    Turn,
    clean,
    dialogue,
    evenly,
    finish,
    n_word,
)
from chat_real_sets.files import read_text
from chat_real_sets.tinystories import tinystories
from chat_real_sets.tool_dialogues import task_utterances

MAX_STORIES = 3_000
# fmt: off
NAMES = (
    "Alex", "Sam", "Maria", "David", "Anna", "Chris", "Laura", "Peter", "Nina", "Tom", "Julia",
    "Omar", "Grace", "Leo", "Ruth",
)
# fmt: on
# botprofile: the name and habits of another bot. coding: programs that do not run.
CHATTERBOT_LEFT_OUT = {"botprofile.yml", "coding.yml"}
# In the other files, every line after the first is another answer to it.
CHATTERBOT_DIALOGUES = {"conversations.yml", "health.yml"}
QUESTION = re.compile(
    r"(who|what|where|when|why|how|which|is|are|am|do|does|did|can|could|will|would|have|has"
    r"|should)\b"
)


def chatterbot(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield small talk written by hand."""
    seen: set[tuple[str, ...]] = set()
    for path in sorted((data / "chatterbot-corpus" / "english").glob("*.yml")):
        for lines in yaml_lists(path.read_text(encoding="utf-8")):
            if path.name in CHATTERBOT_LEFT_OUT:
                dropped[f"file {path.name}"] += 1
                continue
            turns = [sentence_case(line) for line in lines]
            exchanges = [[turns[0], answer] for answer in turns[1:]]
            if path.name in CHATTERBOT_DIALOGUES:
                exchanges = [turns[: len(turns) // 2 * 2]]
            for exchange in exchanges:
                if not _is_usable(exchange) or tuple(exchange) in seen:
                    dropped["empty, code, a duplicate or an echo"] += 1
                    continue
                seen.add(tuple(exchange))
                yield dialogue(*exchange)


def _is_usable(turns: list[str]) -> bool:
    is_echo = len(turns) >= 2 and turns[0] == turns[1]
    return len(turns) >= 2 and all(turns) and not is_echo and CODE_FENCE not in "".join(turns)


def sentence_case(line: str) -> str:
    """Write a line in sentence case: some files have small letters only, some capitals only."""
    line = clean(line).replace("\n", " ")
    if not line or not (line.islower() or (line.isupper() and n_word(line) > 1)):
        return line
    line = re.sub(r"\bi\b", "I", line.lower())
    return finish(line + "?" if QUESTION.match(line) and line[-1].isalnum() else line)


def yaml_lists(text: str) -> list[list[str]]:
    """Parse the only YAML shape of these files: "- - first", then "  - next".

    A line with four spaces continues the item before it. Items may be quoted.
    """
    lists: list[list[str]] = []
    for line in text.partition("conversations:")[2].splitlines():
        if line.startswith("- - "):
            lists.append([line[4:]])
        elif line.startswith("  - ") and lists:
            lists[-1].append(line[4:])
        elif lists and line.strip():
            lists[-1][-1] += " " + line.strip()
    return [[_unquoted(item.strip()) for item in items] for items in lists]


def _unquoted(item: str) -> str:
    if len(item) > 1 and item[0] == item[-1] == "'":
        return item[1:-1].replace("''", "'")
    if len(item) > 1 and item[0] == item[-1] == '"':
        return item[1:-1].replace('\\"', '"').replace("\\n", " ")
    return item


def persona_rows(data: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the turns of User 1, User 2, User 1 and so on, with the personas of the two."""
    for split in ("valid", "test"):
        name = f"Synthetic-Persona-Chat_{split}.csv.xz"
        content = read_text(data / "synthetic-persona-chat" / name)
        for number, row in enumerate(csv.DictReader(io.StringIO(content))):
            conversation = _with_names(row["Best Generated Conversation"], number)
            personas = [clean(row[f"user {n} personas"]).split("\n") for n in (1, 2)]
            yield _alternating_turns(conversation), personas


def _with_names(conversation: str, number: int) -> str:
    """Fill in "[user 1's name]"; a bare "[name]" stays, since it is unclear whose name it is."""
    for speaker, offset in (("1", 0), ("2", 7)):
        name = NAMES[(number + offset) % len(NAMES)]
        placeholder = rf"[\[(]user ?{speaker}(?:'s)?(?: name)?[\])]"
        conversation = re.sub(placeholder, name, conversation, flags=re.IGNORECASE)
    return conversation


def _alternating_turns(conversation: str) -> list[str]:
    """The turns up to where a speaker speaks twice in a row."""
    spoken = re.findall(
        r"^User ([12]): ?(.*(?:\n(?!User [12]:).*)*)", conversation, flags=re.MULTILINE
    )
    turns: list[str] = []
    for i, (speaker, text) in enumerate(spoken):
        if (speaker == "1") != (i % 2 == 0):
            break
        turns.append(clean(text).replace("\n", " "))
    return turns


def persona_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield each conversation from both sides, with the persona as the system turn.

    The model takes on a persona only where the system turn gives it one.
    """
    for turns, personas in persona_rows(data):
        for first in (0, 1):
            view = turns[first : first + 14]
            view = view[: len(view) // 2 * 2]
            if len(view) < 4:
                dropped["too short, or somebody speaks twice in a row"] += 1
            elif PLACEHOLDER.search(" ".join(view)):
                dropped["a name left open"] += 1
            else:
                persona = " ".join(finish(line) for line in personas[1 - first] if line)
                yield dialogue(*view, system=f"Speak as this person. {persona}")


def topical_rows(data: Path) -> Iterator[list[dict[str, str]]]:
    """Yield the turns of each dialogue, with speaker and rating."""
    for name in ("valid_freq", "valid_rare", "test_freq", "test_rare"):
        rows = json.loads(read_text(data / "topical-chat" / f"{name}.json.xz"))
        for key in sorted(rows):
            yield rows[key]["content"]


def topical_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield pieces of eight turns in which the participants rated no answer poor."""
    for content in topical_rows(data):
        for start in range(0, len(content) - 3, 8):
            piece = content[start : start + 8]
            piece = piece[: len(piece) // 2 * 2]
            if any(a["agent"] == b["agent"] for a, b in pairwise(piece)):
                dropped["somebody speaks twice in a row"] += 1
            elif any(turn["turn_rating"] in ("Poor", "Not Good") for turn in piece[1::2]):
                dropped["an answer rated poor"] += 1
            else:
                yield dialogue(*map(_message, piece))


def _message(turn: dict[str, Any]) -> str:
    return clean(turn["message"]).replace("\n", " ")


def stories(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield stories as answers to "Tell me a story about ..."."""
    short = [story for story in tinystories(data, dropped) if n_word(story) <= 190]
    for i, story in enumerate(evenly(short, MAX_STORIES)):
        hero = re.search(r"\b(?:named|called) ([A-Z][a-z]+)", story)
        thing = re.search(
            r"\b(?:was|lived|saw) (an? (?:little|big|small|old|brave|kind) "
            r"(?!boy|girl|man|woman|child|kid)[a-z]+)",
            story,
        )
        requests = [f"Tell me a story about {found[1]}." for found in (hero, thing) if found]
        if requests and i % 4:
            request = requests[i % len(requests)]
        else:
            request = ("Tell me a story.", "Please write a short story.")[i % 2]
        yield dialogue(request, story)


def plain_dialogues(data: Path, dropped: Dropped) -> Iterator[str]:
    """Yield whole conversations as text for pretraining: one turn a line, speakers A and B."""
    conversations = [turns for turns, _ in persona_rows(data)]
    conversations += [list(map(_message, content)) for content in topical_rows(data)]
    conversations += list(task_utterances(data))
    for turns in conversations:
        if len(turns) < 4:
            dropped["under 4 turns"] += 1
        elif PLACEHOLDER.search(" ".join(turns)):
            dropped["a name left open"] += 1
        else:
            yield "\n".join(f"{'AB'[i % 2]}: {turn}" for i, turn in enumerate(turns))
