"""Read each public set of preferences as feedback, with the key that decides its split.

Preferences that follow from a rule, without people who compared the replies, are simulated.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import combinations, pairwise, product
from pathlib import Path
from typing import Any

from chat_real_sets.cleaning import Dropped, clean, is_complete
from chat_real_sets.conversations import topical_rows
from chat_real_sets.files import json_rows
from chat_real_sets.instructions import MISSING_TEXT, restore_apostrophes

from chatwright.conversation import Message
from chatwright.data.preferences import Feedback, Ranking, RatedReply, Thumb

Keyed = tuple[str, Feedback]
"""The instruction or conversation that decides the side of the split, and the feedback."""
RANKS_OF_PREFERENCE = {0: (1, 1), 1: (1, 2), 2: (2, 1)}
"""0 a tie, 1 the first is better, 2 the second."""
N_CONTEXT = 6
"""Turns of Topical-Chat before the rated one that are kept."""


def month(year: int, number: int) -> datetime:
    """Return the time of feedback of a set published in that month: the files hold no times."""
    return datetime(year, number, 1, tzinfo=UTC)


def asked(text: str) -> tuple[Message, ...]:
    """Return the prompt of one user turn."""
    return (Message("user", text),)


def ranking(
    prompt: tuple[Message, ...],
    texts: Sequence[str],
    ranks: Sequence[int],
    rater: str,
    time: datetime,
    *,
    is_simulated: bool = False,
) -> Ranking:
    """Return the ranking of reply texts."""
    return Ranking(
        prompt=prompt,
        rater=rater,
        time=time,
        replies=tuple(RatedReply(Message("assistant", text)) for text in texts),
        ranks=tuple(ranks),
        is_simulated=is_simulated,
    )


def pandalm(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield 999 pairs of replies, each judged by three annotators."""
    for row in json_rows(data / "pandalm" / "testset-v1.json.xz"):
        texts = (row["response1"], row["response2"])
        if not all(isinstance(text, str) for text in texts):
            dropped["a reply is not text"] += 3
            continue
        instruction = clean(row["instruction"])
        prompt = f"{instruction}\n\n{clean(row['input'])}".strip()
        for number in (1, 2, 3):
            ranks = RANKS_OF_PREFERENCE[row[f"annotator{number}"]]
            rater = f"pandalm annotator {number}"
            yield instruction, ranking(asked(prompt), texts, ranks, rater, month(2023, 4))


def hh_rlhf(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield dialogues with a chosen and a rejected reply.

    The published file does not say which reply was chosen: the first of two is taken, as upstream
    stores them.
    """
    for row in json_rows(data / "hh-rlhf-helpful-oa" / "pairs.jsonl.xz"):
        prompt = tuple(Message(turn["role"], clean(turn["content"])) for turn in row["messages"])
        texts = (clean(row["chosen"]), clean(row["rejected"]))
        if prompt[0].role != "user" or prompt[-1].role != "user":
            dropped["turns out of order"] += 1
        elif texts[0] == texts[1]:
            dropped["equal replies"] += 1
        else:
            key = prompt[0].text
            yield key, ranking(prompt, texts, (1, 2), "hh-rlhf crowd worker", month(2022, 4))


def fine_grained(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield rankings of four answers to a question about passages.

    The file states the preference of each of the six pairs. Where no order fits all six, the row
    is dropped.
    """
    for row in json_rows(data / "fine-grained-rlhf" / "dev_feedback.json.xz"):
        texts = [row[f"prediction {number}"] for number in (1, 2, 3, 4)]
        ranks = ranks_of_pairs(row["preference"])
        passages = [f"{title}: {' '.join(sentences)}" for title, *sentences in row["passages"]]
        question = clean(row["question"])
        prompt = "\n\n".join([*map(clean, passages), question])
        if ranks is None:
            dropped["no order fits the six pairs"] += 1
        else:
            rater = "fine-grained-rlhf annotator"
            yield question, ranking(asked(prompt), texts, ranks, rater, month(2023, 6))


def ranks_of_pairs(preferences: Sequence[int]) -> tuple[int, ...] | None:
    """Return the ranks of four replies from the preferences of their six pairs; None if none fit.

    The pairs are in the order (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4).
    """
    for ranks in product((1, 2, 3, 4), repeat=4):
        stated = [
            0 if ranks[a] == ranks[b] else 1 if ranks[a] < ranks[b] else 2
            for a, b in combinations(range(4), 2)
        ]
        if stated == list(preferences) and set(ranks) == set(range(1, max(ranks) + 1)):
            return ranks
    return None


def topical_chat(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield thumbs for the turns of two people: up for "Excellent", down for "Passable" or less.

    "Good" says too little on a scale whose mean is above it. A turn's context is the turns before.
    """
    for number, content in enumerate(topical_rows(data)):
        if any(a["agent"] == b["agent"] for a, b in pairwise(content)):
            dropped["somebody speaks twice in a row"] += len(content)
            continue
        for index in range(1, len(content)):
            rating = content[index]["turn_rating"]
            if rating in ("Good", ""):
                dropped[f"rated {rating or 'nothing'}"] += 1
            else:
                yield f"topical {number}", _topical_thumb(content, index, rating == "Excellent")


def _topical_thumb(content: list[dict[str, Any]], index: int, is_up: bool) -> Thumb:
    start = max(0, index - N_CONTEXT)
    start += (index - start) % 2 == 0  # the turn before the rated one is the user's, and the first
    turns = [
        Message("assistant" if (index - at) % 2 == 0 else "user", clean(content[at]["message"]))
        for at in range(start, index + 1)
    ]
    return Thumb(
        prompt=tuple(turns[:-1]),
        rater="topical-chat partner",
        time=month(2019, 9),
        reply=RatedReply(turns[-1]),
        is_up=is_up,
    )


def raschka(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield polite and rude versions of one answer, written by a program."""
    path = data / "raschka-instructions" / "instruction-data-with-preference.json.xz"
    for row in json_rows(path):
        prompt = f"{clean(row['instruction'])}\n{clean(row['input'])}".strip()
        texts = (clean(row["chosen"]), clean(row["rejected"]))
        if texts[0] == texts[1]:
            dropped["equal replies"] += 1
            continue
        rater = "rule: polite over rude"
        item = ranking(asked(prompt), texts, (1, 2), rater, month(2024, 8), is_simulated=True)
        yield prompt, item


def dolly(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield answers of people as better than those of Flan-T5 XL, which nobody compared."""
    for row in json_rows(data / "dolly-subset" / "flan-t5-xl.jsonl.xz"):
        prompt = restore_apostrophes(clean(row["instruction"]))
        human = restore_apostrophes(clean(row["text"]))
        flan = clean(row["decoded"].replace("<pad>", "").replace("</s>", ""))
        if MISSING_TEXT.search(prompt):
            dropped["refers to a text that is missing"] += 1
        elif not is_complete(human):
            dropped["answer cut off"] += 1
        elif not flan or human == flan:
            dropped["empty or equal replies"] += 1
        else:
            rater = "rule: people over Flan-T5"
            item = ranking(
                asked(prompt), (human, flan), (1, 2), rater, month(2023, 4), is_simulated=True
            )
            yield prompt, item


def llamafactory(data: Path, dropped: Dropped) -> Iterator[Keyed]:
    """Yield LLaMA-Factory's sample of pairs, whose license is not stated."""
    roles = {"human": "user", "gpt": "assistant"}
    for row in json_rows(data / "llamafactory-demos" / "dpo_en_demo.json.xz"):
        turns = row["conversations"]
        if [turn["from"] for turn in turns] != ["human", "gpt"] * (len(turns) // 2) + ["human"]:
            dropped["turns out of order"] += 1
            continue
        prompt = tuple(Message(roles[turn["from"]], clean(turn["value"])) for turn in turns)
        texts = (clean(row["chosen"]["value"]), clean(row["rejected"]["value"]))
        rater = "llamafactory sample"
        item = ranking(prompt, texts, (1, 2), rater, month(2024, 5), is_simulated=True)
        yield prompt[0].text, item
