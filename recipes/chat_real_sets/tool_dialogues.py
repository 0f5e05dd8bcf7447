"""Dialogues with tool calls: a call is a turn of the role command, its result one of result."""

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import Dropped, Turn, clean, evenly
from chat_real_sets.files import json_rows

MAX_TASK_DIALOGUES = 1_500
MAX_TOOL_QUESTIONS = 800
MIN_TURNS = 12
"""A task dialogue ends with the first answer after so many turns."""
COMMANDS = "You may use these commands: {}."


def command_name(name: str) -> str:
    """Write the name of a tool in capitals: FindRestaurants becomes FIND_RESTAURANTS."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).upper()


def command(name: str, arguments: Any) -> Turn:
    """Return the turn of a tool call."""
    written = json.dumps(arguments, ensure_ascii=False)
    return {"role": "command", "content": f"{command_name(name)} {written}"}


def result(name: str, value: Any) -> Turn:
    """Return the turn of a tool result."""
    written = json.dumps(value, ensure_ascii=False)
    return {"role": "result", "content": f"{command_name(name)}: {written}"}


def _system(names: list[str]) -> list[Turn]:
    """The system turn that names the tools of a dialogue, if it has any."""
    if not names:
        return []
    return [{"role": "system", "content": COMMANDS.format(", ".join(map(command_name, names)))}]


def task_rows(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the training dialogues of schema-guided-dialogue in order, not dev and test."""
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
    """Yield task dialogues with their service calls as tool calls.

    A result holds the number of results and the first one. The system turn names the tools that the
    dialogue uses.
    """
    for row in evenly(list(task_rows(data)), MAX_TASK_DIALOGUES):
        turns: list[Turn] = []
        names: dict[str, None] = {}
        for spoken in row["turns"]:
            if len(turns) >= MIN_TURNS and turns[-1]["role"] == "assistant":
                break
            is_user = spoken["speaker"] == "USER"
            for name, calls in () if is_user else _service_calls(spoken["frames"]):
                names[name] = None
                turns += calls
            content = clean(spoken["utterance"])
            turns.append({"role": "user" if is_user else "assistant", "content": content})
        while turns and turns[-1]["role"] != "assistant":
            turns.pop()
        yield _system(list(names)) + turns


def _service_calls(frames: list[dict[str, Any]]) -> Iterator[tuple[str, list[Turn]]]:
    """(name, call and result) of each service call in the frames of a turn."""
    for frame in frames:
        if "service_call" in frame:
            name = frame["service_call"]["method"]
            found = frame.get("service_results", [])
            value = {"found": len(found), "first": found[0]} if found else {"found": 0}
            parameters = frame["service_call"]["parameters"]
            yield command_name(name), [command(name, parameters), result(name, value)]


def task_utterances(data: Path) -> Iterator[list[str]]:
    """Yield what is spoken in the task dialogues, without tool calls, of all dialogues."""
    for row in task_rows(data):
        yield [clean(spoken["utterance"]) for spoken in row["turns"]]


def glaive(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield LLaMA-Factory's sample of Glaive function calls."""
    roles = {"human": "user", "gpt": "assistant"}
    for row in json_rows(data / "llamafactory-demos" / "glaive_toolcall_en_demo.json.xz"):
        names = [tool["name"] for tool in json.loads(row["tools"])] if row["tools"] else []
        turns: list[Turn] = []
        called = ""
        for spoken in row["conversations"]:
            if spoken["from"] == "function_call":
                call = json.loads(spoken["value"])
                called = call["name"]
                turns.append(command(called, call["arguments"]))
            elif spoken["from"] == "observation":
                turns.append(result(called, json.loads(spoken["value"])))
            else:
                content = clean(spoken["value"])
                turns.append({"role": roles[spoken["from"]], "content": content})
        yield _system(names) + turns


def toolformer(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield questions that one tool call answers.

    The set has no results, so these conversations end with the call.
    """
    found: list[list[Turn]] = []
    for row in json_rows(data / "gpteacher" / "toolformer.json.xz"):
        instruction = row["instruction"]
        calls = re.findall(r"\b(\w+)\('([^'()]*)'\)", row["output"])
        head = re.match(
            r"toolformer: enabled\ntoolformer access: (\w+)\n.*\n\w+\(\w+\)\n", instruction
        )
        if head is None or len(calls) != 1 or calls[0][0] != head[1] or head[1] == "python":
            dropped["not exactly one plain call"] += 1
            continue
        question = clean(instruction[head.end() :])
        question += f"\n{clean(row['input'])}" if row["input"] else ""
        system = {"role": "system", "content": COMMANDS.format(head[1].upper())}
        user = {"role": "user", "content": question}
        found.append([system, user, command(head[1], {"query": clean(calls[0][1])})])
    yield from evenly(found, MAX_TOOL_QUESTIONS)
