"""Several turns: chit-chat, persona chat, task dialogues with commands, stories on request."""

import csv
import io
import json
import re
import tarfile
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
from chat_real_sets.held_out import read_text
from chat_real_sets.instructions import json_rows
from chat_real_sets.prose import tinystories

MOST_TASK_DIALOGUES = 1_500
MOST_TOOL_QUESTIONS = 800
MOST_STORIES = 3_000
COMMANDS = "You may use these commands: {}."

NAMES = (
    "Alex",
    "Sam",
    "Maria",
    "David",
    "Anna",
    "Chris",
    "Laura",
    "Peter",
    "Nina",
    "Tom",
    "Julia",
    "Omar",
    "Grace",
    "Leo",
    "Ruth",
)

# botprofile: another bot's name and habits. coding: programs that do not run.
CHATTERBOT_LEFT_OUT = {"botprofile.yml", "coding.yml"}


def chatterbot(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Hand-written chit-chat. The lines after the first are other answers to it, except in two files, where the talk goes on."""
    seen = set()
    for path in sorted((data / "chatterbot-corpus" / "english").glob("*.yml")):
        for lines in yaml_lists(path.read_text(encoding="utf-8")):
            if path.name in CHATTERBOT_LEFT_OUT:
                dropped[f"file {path.name}"] += 1
                continue
            turns = [spoken(line) for line in lines]
            together = path.name in ("conversations.yml", "health.yml")
            for some in (
                [turns[: len(turns) // 2 * 2]]
                if together
                else [[turns[0], answer] for answer in turns[1:]]
            ):
                if (
                    len(some) < 2
                    or not all(some)
                    or tuple(some) in seen
                    or some[0] == some[1]
                    or CODE_FENCE in "".join(some)
                ):
                    dropped["empty, code, a duplicate or an echo"] += 1
                    continue
                seen.add(tuple(some))
                yield dialogue(*some)


def spoken(line: str) -> str:
    """Some files are all small letters, some all capitals."""
    line = clean(line).replace("\n", " ")
    if not line or not (line.islower() or (line.isupper() and n_word(line) > 1)):
        return line
    line = re.sub(r"\bi\b", "I", line.lower())
    is_question = re.match(
        r"(who|what|where|when|why|how|which|is|are|am|do|does|did|can|could|will|would|have|has|should)\b",
        line,
    )
    return finish(line + "?" if is_question and line[-1].isalnum() else line)


def yaml_lists(text: str) -> list[list[str]]:
    """The one shape these files have: "- - first", "  - next", lines folded with four spaces, quoted or not."""
    lists: list[list[str]] = []
    for line in text.partition("conversations:")[2].splitlines():
        if line.startswith("- - "):
            lists.append([line[4:]])
        elif line.startswith("  - ") and lists:
            lists[-1].append(line[4:])
        elif lists and line.strip():
            lists[-1][-1] += " " + line.strip()
    return [[unquoted(item.strip()) for item in items] for items in lists]


def unquoted(item: str) -> str:
    if len(item) > 1 and item[0] == item[-1] == "'":
        return item[1:-1].replace("''", "'")
    if len(item) > 1 and item[0] == item[-1] == '"':
        return item[1:-1].replace('\\"', '"').replace("\\n", " ")
    return item


def persona_rows(data: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(turns of User 1, User 2, User 1, ...; the personas of the two)"""
    for split in ("valid", "test"):
        rows = csv.DictReader(
            io.StringIO(
                read_text(
                    data / "synthetic-persona-chat" / f"Synthetic-Persona-Chat_{split}.csv.xz"
                )
            )
        )
        for number, row in enumerate(rows):
            # Half of the "[user 1's name]" left open can be filled; "[name]" cannot, it is unclear whose.
            for speaker, offset in (("1", 0), ("2", 7)):
                name = NAMES[(number + offset) % len(NAMES)]
                row["Best Generated Conversation"] = re.sub(
                    rf"[\[(]user ?{speaker}(?:'s)?(?: name)?[\])]",
                    name,
                    row["Best Generated Conversation"],
                    flags=re.IGNORECASE,
                )
            said = re.findall(
                r"^User ([12]): ?(.*(?:\n(?!User [12]:).*)*)",
                row["Best Generated Conversation"],
                flags=re.MULTILINE,
            )
            turns: list[str] = []
            for i, (speaker, text) in enumerate(said):
                if (speaker == "1") != (i % 2 == 0):
                    break  # somebody speaks twice in a row; what came before is fine
                turns.append(clean(text).replace("\n", " "))
            yield turns, [clean(row[f"user {n} personas"]).split("\n") for n in (1, 2)]


def persona_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Each conversation from both sides. The persona is the system turn, so that only a person who asks for one gets one."""
    for turns, personas in persona_rows(data):
        for first in (0, 1):
            view = turns[first : first + 14]
            view = view[: len(view) // 2 * 2]
            if len(view) < 4:
                dropped["too short, or somebody speaks twice in a row"] += 1
            elif PLACEHOLDER.search(" ".join(view)):
                dropped["a name left open"] += 1
            else:
                yield dialogue(
                    *view,
                    system="Speak as this person. "
                    + " ".join(finish(line) for line in personas[1 - first] if line),
                )


def topical_rows(data: Path) -> Iterator[list[dict[str, str]]]:
    for name in ("valid_freq", "valid_rare", "test_freq", "test_rare"):
        rows = json.loads(read_text(data / "topical-chat" / f"{name}.json.xz"))
        for key in sorted(rows):
            yield rows[key]["content"]


def topical_chat(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Pieces of eight turns in which no answer was rated poor by the people who took part."""
    for content in topical_rows(data):
        for start in range(0, len(content) - 3, 8):
            piece = content[start : start + 8]
            piece = piece[: len(piece) // 2 * 2]
            if any(a["agent"] == b["agent"] for a, b in pairwise(piece)):
                dropped["somebody speaks twice in a row"] += 1
            elif any(turn["turn_rating"] in ("Poor", "Not Good") for turn in piece[1::2]):
                dropped["an answer rated poor"] += 1
            else:
                yield dialogue(*(clean(turn["message"]).replace("\n", " ") for turn in piece))


def command_name(name: str) -> str:
    """FindRestaurants, find_restaurants -> FIND_RESTAURANTS"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).upper()


def command(name: str, arguments: Any) -> Turn:
    return {
        "role": "command",
        "content": f"{command_name(name)} {json.dumps(arguments, ensure_ascii=False)}",
    }


def result(name: str, value: Any) -> Turn:
    return {
        "role": "result",
        "content": f"{command_name(name)}: {json.dumps(value, ensure_ascii=False)}",
    }


def task_files(data: Path) -> Iterator[dict[str, Any]]:
    """The training dialogues of schema-guided-dialogue, in order; dev and test stay untouched."""
    with tarfile.open(data / "schema-guided-dialogue" / "sgd_subset.tar.xz", "r:xz") as archive:
        members = {
            member.name: member
            for member in archive
            if re.fullmatch(r"(?:\./)?train/dialogues_\d+\.json", member.name)
        }
        for name in sorted(members):
            file = archive.extractfile(members[name])
            assert file is not None, f"{name} is not a file"
            yield from json.load(file)


def task_dialogues(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """A service call becomes a command turn, its results a result turn (their number, and the first). The commands a dialogue
    needs are named in its system turn."""
    for row in evenly(list(task_files(data)), MOST_TASK_DIALOGUES):
        turns: list[Turn] = []
        calls: dict[str, None] = {}
        for said in row["turns"]:
            if len(turns) >= 12 and turns[-1]["role"] == "assistant":
                break
            if said["speaker"] == "SYSTEM":
                for frame in said["frames"]:
                    if "service_call" in frame:
                        name, found = (
                            frame["service_call"]["method"],
                            frame.get("service_results", []),
                        )
                        calls[command_name(name)] = None
                        turns.append(command(name, frame["service_call"]["parameters"]))
                        turns.append(
                            result(
                                name,
                                {"found": len(found), "first": found[0]} if found else {"found": 0},
                            )
                        )
            turns.append(
                {
                    "role": "user" if said["speaker"] == "USER" else "assistant",
                    "content": clean(said["utterance"]),
                }
            )
        while turns and turns[-1]["role"] != "assistant":
            turns.pop()
        system = [{"role": "system", "content": COMMANDS.format(", ".join(calls))}] if calls else []
        yield system + turns


def task_prose(data: Path) -> Iterator[list[str]]:
    """Only what was said, of the dialogues that `task_dialogues` may leave out too."""
    for row in task_files(data):
        yield [clean(said["utterance"]) for said in row["turns"]]


def glaive(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """LLaMA-Factory's sample of Glaive function calls."""
    roles = {"human": "user", "gpt": "assistant"}
    for row in json_rows(data / "llamafactory-demos" / "glaive_toolcall_en_demo.json.xz"):
        tools = [tool["name"] for tool in json.loads(row["tools"])] if row["tools"] else []
        turns: list[Turn] = []
        last = ""
        for said in row["conversations"]:
            if said["from"] == "function_call":
                call = json.loads(said["value"])
                last = call["name"]
                turns.append(command(last, call["arguments"]))
            elif said["from"] == "observation":
                turns.append(result(last, json.loads(said["value"])))
            else:
                turns.append({"role": roles[said["from"]], "content": clean(said["value"])})
        system = (
            [{"role": "system", "content": COMMANDS.format(", ".join(map(command_name, tools)))}]
            if tools
            else []
        )
        yield system + turns


def toolformer(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Questions that one command answers. The set has no results, so these end with the command."""
    found = []
    for row in json_rows(data / "gpteacher" / "toolformer.json.xz"):
        instruction, calls = (
            row["instruction"],
            re.findall(r"\b(\w+)\('([^'()]*)'\)", row["output"]),
        )
        head = re.match(
            r"toolformer: enabled\ntoolformer access: (\w+)\n.*\n\w+\(\w+\)\n", instruction
        )
        if head is None or len(calls) != 1 or calls[0][0] != head[1] or head[1] == "python":
            dropped["not exactly one plain call"] += 1
            continue
        question = clean(instruction[head.end() :])
        question += f"\n{clean(row['input'])}" if row["input"] else ""
        system = {"role": "system", "content": COMMANDS.format(head[1].upper())}
        found.append(
            [
                system,
                {"role": "user", "content": question},
                command(head[1], {"query": clean(calls[0][1])}),
            ]
        )
    yield from evenly(found, MOST_TOOL_QUESTIONS)


def stories(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """tinystories as answers to "Tell me a story about ..."."""
    kept = [story for story in tinystories(data, dropped) if n_word(story) <= 190]
    for i, story in enumerate(evenly(kept, MOST_STORIES)):
        hero = re.search(r"\b(?:named|called) ([A-Z][a-z]+)", story)
        thing = re.search(
            r"\b(?:was|lived|saw) (an? (?:little|big|small|old|brave|kind) (?!boy|girl|man|woman|child|kid)[a-z]+)",
            story,
        )
        asked = [f"Tell me a story about {found[1]}." for found in (hero, thing) if found]
        yield dialogue(
            asked[i % len(asked)]
            if asked and i % 4
            else ("Tell me a story.", "Please write a short story.")[i % 2],
            story,
        )


def plain_dialogues(data: Path, dropped: Dropped) -> Iterator[str]:
    """The chat sets once more as text, for pretraining: whole conversations, one line a turn, speakers A and B."""
    spoken_rows: list[list[str]] = [turns for turns, _ in persona_rows(data)]
    spoken_rows += [
        [clean(turn["message"]).replace("\n", " ") for turn in content]
        for content in topical_rows(data)
    ]
    spoken_rows += list(task_prose(data))
    for turns in spoken_rows:
        if len(turns) < 4:
            dropped["under 4 turns"] += 1
        elif PLACEHOLDER.search(" ".join(turns)):
            dropped["a name left open"] += 1
        else:
            yield "\n".join(f"{'AB'[i % 2]}: {turn}" for i, turn in enumerate(turns))
