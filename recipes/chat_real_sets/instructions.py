"""The instruction sets: one question, one answer."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import (
    Dropped,
    Turn,
    clean,
    dialogue,
    finish,
    is_complete,
    n_word,
    whole_paragraphs,
)
from chat_real_sets.files import json_rows, read_text

MAX_REPLY_WORDS = 200
T0_TEMPLATES: dict[str, list[str]] = json.loads(
    (Path(__file__).parent / "t0_templates.json").read_text(encoding="utf-8")
)
"""Data sets inside T0, and their templates that ask as a person would.

The texts of these sets are ordinary sentences (not split into tokens, not lower-case), and their
answers follow from the prompt. Rotten Tomatoes is left out, because it holds sentences of the sst2
test set.
"""
T0_PER_DATA_SET = 300
MISSING_TEXT = re.compile(
    r"\b(?:text|passage|paragraph|context|article|snippet|reference|below"
    r"|following (?:list|text))\b",
    re.IGNORECASE,
)


def dolly(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield answers written by people.

    The published file lost apostrophes ("don t"), broke lines after each sentence and cut long
    answers.
    """
    for row in json_rows(data / "dolly-subset" / "flan-t5-xl.jsonl.xz"):
        question = restore_apostrophes(clean(row["instruction"]))
        answer = restore_apostrophes(clean(row["text"]))
        if MISSING_TEXT.search(question):
            dropped["refers to a text that is missing"] += 1
            continue
        answer = re.sub(r"(?<=[.!?:])\n(?=\d+\.\n)", "\n\n", answer)
        answer = re.sub(r"\b(\d+\.)\n", r"\1 ", answer)  # "1.\nTake the bus" is one line
        answer = re.sub(r"(?<=[.!?])\n(?![\d\-*])", " ", answer).replace("\n\n", "\n")
        if not is_complete(answer) and n_word(answer) > 60:
            dropped["answer cut off"] += 1
        else:
            yield dialogue(question, finish(answer))


def restore_apostrophes(text: str) -> str:
    """Restore lost apostrophes: "don t" becomes "don't"."""
    text = re.sub(r"\b(\w+n) t\b", r"\1't", text)
    text = re.sub(
        r"\b([Ii]|[Yy]ou|[Ww]e|[Tt]hey|[Ii]t|[Hh]e|[Ss]he|[Tt]hat|[Tt]here|[Ww]ho) "
        r"(ll|re|ve|m|d)\b",
        r"\1'\2",
        text,
    )
    return re.sub(r"\b(\w{2,}) s\b(?! [&.])", r"\1's", text)


def _question(row: dict[str, Any]) -> str:
    """The instruction of a row, with its input on the next line."""
    instruction = clean(row["instruction"])
    extra = clean(row["input"])
    return f"{instruction}\n{extra}" if extra else instruction


def raschka(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the rows of Raschka's instruction data."""
    for row in json_rows(data / "raschka-instructions" / "instruction-data.json"):
        yield dialogue(_question(row), clean(row["output"]))


def gpteacher_roleplay(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the role plays of GPTeacher that are short and complete."""
    for row in json_rows(data / "gpteacher" / "roleplay.json.xz"):
        answer = whole_paragraphs(clean(row["output"]), MAX_REPLY_WORDS)
        if "http" in answer or not is_complete(answer):
            dropped["too long, a link, or cut off"] += 1
        else:
            yield dialogue(_question(row), answer)


def llamafactory_chosen(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the preferred answers of LLaMA-Factory's DPO sample.

    Its Alpaca-GPT4 file (non-commercial) and its KTO file (wrong on purpose) are not read.
    """
    for row in json_rows(data / "llamafactory-demos" / "dpo_en_demo.json.xz"):
        turns = [clean(turn["value"]) for turn in row["conversations"]]
        turns.append(clean(row["chosen"]["value"]))
        if row["conversations"][0]["from"] != "human" or len(turns) % 2:
            dropped["turns out of order"] += 1
        else:
            yield dialogue(*turns)


def gsm8k(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield the training problems, without the marks for a calculator."""
    for row in json_rows(data / "gsm8k" / "train.jsonl.xz"):
        steps, _, result = re.sub(r"<<[^>]*>>", "", row["answer"]).partition("\n####")
        yield dialogue(clean(row["question"]), f"{clean(steps)}\nThe answer is {clean(result)}.")


def falseqa(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield questions with a false premise, and answers that correct it."""
    for row in csv.DictReader(io.StringIO(read_text(data / "falseqa" / "train.csv"))):
        yield dialogue(clean(row["question"]), finish(clean(row["answer"])))


def safety_refusals(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield refusals, with as many first paragraphs as fit: the refusal is in the first."""
    for row in json_rows(data / "safety-refusals" / "safety_sft_conversations.jsonl.xz"):
        turns = [dict(turn, content=clean(turn["content"])) for turn in row]
        for turn in turns:
            if turn["role"] == "assistant":
                turn["content"] = whole_paragraphs(turn["content"], 120)
        yield turns


def t0(data: Path, dropped: Dropped) -> Iterator[list[Turn]]:
    """Yield examples of T0's data sets in the wording of the chosen templates."""
    by_template = defaultdict(list)
    for row in json_rows(data / "t0-50k" / "t0_train.jsonl.xz"):
        by_template[row["template"]].append(row)
    for name, templates in T0_TEMPLATES.items():
        lists = [by_template[f"{name}_{template}"] for template in templates]
        assert all(lists), f"t0 has no template {name}: {templates}"
        for row in _spread(lists)[:T0_PER_DATA_SET]:
            answer = clean(row["completion"].removesuffix("<|endoftext|>"))
            if not answer or n_word(answer) > 80 or (name == "common_gen" and n_word(answer) < 3):
                dropped["empty or long answer"] += 1
                continue
            prompt = clean(row["prompt"].replace("\\", " "))
            reply = finish(answer) if n_word(answer) > 3 else answer[0].upper() + answer[1:]
            yield dialogue(prompt, reply)


def _spread(lists: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of several templates of one data set, which share their examples.

    Example i is taken from template i, then from template i + 1, so it is asked at most twice.
    """
    longest = max(map(len, lists))
    return [
        lists[(i + turn) % len(lists)][i]
        for turn in range(min(2, len(lists)))
        for i in range(longest)
        if i < len(lists[(i + turn) % len(lists)])
    ]
