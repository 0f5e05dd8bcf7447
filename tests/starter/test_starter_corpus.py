"""Determinism, the split between training and held-out items, and documents that state what they say they state."""

import hashlib
import json
import random
import re
from itertools import pairwise

import pytest

from chatwright.conversation import Message
from chatwright.starter import (
    Drawn,
    drawn_at,
    heldout_items,
    make_world,
    pretraining_documents,
    training_conversations,
    write,
)
from chatwright.starter.attributes import ATTRIBUTES, say
from chatwright.starter.conversations import SKILLS
from chatwright.tokenizer.chat_template import require_order
from chatwright.tokenizer.tool_call_text import message_text

SIZE, SEED = 0.2, 0
SPAN = 6


@pytest.fixture(scope="module")
def conversations() -> list[tuple[Message, ...]]:
    return list(training_conversations(SIZE, SEED))


@pytest.fixture(scope="module")
def items():
    return heldout_items(SIZE, SEED, 120)


def spans(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w'@.+-]*\w", text.lower())
    return {tuple(words[at : at + SPAN]) for at in range(len(words) - SPAN + 1)}


def test_spans_find_a_planted_copy():
    assert spans("He said: one two three four five six!") & spans(
        "One, two, three, four, five, six."
    )
    assert not spans("one two three four five") & spans("one two three four five")


@pytest.fixture(scope="module")
def shipped():
    """What the starter's recipe trains on and is examined with, whole: a pattern that gives a held-out question away may do so once in thousands."""
    return [
        message_text(message)
        for conversation in training_conversations()
        for message in conversation
    ], heldout_items()


def test_no_user_turn_of_a_held_out_item_shares_six_words_in_a_row_with_training(shipped):
    said, items = shipped
    held: dict[tuple[str, ...], str] = {}
    for item in items:
        for message in item.messages:
            if message.role == "user":
                held |= dict.fromkeys(spans(message_text(message)), item.skill)
    assert len(held) > 10_000
    for text in said:
        assert not (shared := spans(text) & held.keys()), (held[min(shared)], min(shared))
    for document in pretraining_documents():
        assert not (shared := spans(document.text) & held.keys()), (held[min(shared)], min(shared))


def way_of_asking(template: str) -> str:
    """A pattern for any question that a held-out template gives, whatever stands in its slots."""
    slots = {
        "kind": "phone number|e-mail address",
        "past": r"\w+ed|bought|lost|found|sold",
        "name": r"[A-Z]\w+",
        "n": r"\w+",
    }
    slots |= dict.fromkeys(("text", "said", "claim", "question"), ".+")
    parts = re.split(r"\{(\w+)\}", template)
    other = r"(?:an? )?[\w.@'-]+(?: [A-Z][\w-]+)?"
    filled = (
        f"(?:{slots.get(part, other)})" if at % 2 else re.escape(part)
        for at, part in enumerate(parts)
    )
    return "".join(filled)


def test_no_training_turn_is_a_held_out_question_word_for_word(shipped):
    """However short it is; six words in a row are not there in "Which phone number is mine?"."""
    said, items = shipped
    held = "|".join(
        f"(?:{way_of_asking(template)})" for template in sorted({item.template for item in items})
    )
    assert re.fullmatch(held, "Which phone number is mine?")
    assert re.fullmatch(held, "Name Mira's town.")
    found = re.compile(held)
    for text in said:
        assert not found.fullmatch(text), text


def test_every_skill_has_at_least_five_held_out_ways_of_asking(items):
    for skill in SKILLS:
        own = [item for item in items if item.skill == skill]
        assert len(own) >= 90, skill
        assert len({item.template for item in own}) >= 5, skill


def test_closed_and_open_book_are_apart(items):
    world = make_world(SIZE, SEED)
    names = {person.name for person in world.people}
    for item in items:
        if item.skill in ("fact_closed", "fact_open"):
            assert item.book == item.skill.removeprefix("fact_")
        if item.book == "open" and item.skill in (
            "fact_open",
            "follow_up",
            "correction_right",
            "correction_wrong",
            "false_premise",
        ):
            said = " ".join(message_text(message) for message in item.messages)
            assert not names & set(re.findall(r"[A-Z][a-z]+", said)), said
            assert item.must[0][0] in said


def test_training_never_answers_a_held_out_fact(conversations):
    world = make_world(SIZE, SEED)
    said = "\n".join(
        message_text(message)
        for conversation in conversations
        for message in conversation
        if message.role == "assistant"
    )
    stated = "\n".join(document.text for document in pretraining_documents(SIZE, SEED))
    for fact in world.unasked:
        answer = say(ATTRIBUTES[fact.attribute].answer, fact, world)
        assert answer not in said, fact.id
        assert fact.value.lower() in stated.lower()
    # Positive control: the same search finds the facts that may be asked.
    found = [
        fact for fact in world.asked if say(ATTRIBUTES[fact.attribute].answer, fact, world) in said
    ]
    assert len(found) > 0.9 * len(world.asked)


def test_a_document_states_the_facts_it_names():
    world = make_world(SIZE, SEED)
    facts = {fact.id: fact for fact in world.facts}
    told: set[str] = set()
    for document in pretraining_documents(SIZE, SEED):
        for fact_id in document.facts:
            fact = facts[fact_id]
            assert fact.subject.lower() in document.text.lower(), document
            assert fact.value.lower() in document.text.lower(), document
        told.update(document.facts)
    assert told == {fact.id for fact in world.facts if not fact.changing}


def test_conversations_are_in_order_and_short(conversations):
    for conversation in conversations:
        require_order(conversation)
        assert all(message_text(message).strip() for message in conversation)
    lengths = [
        len(message_text(m).split())
        for conversation in conversations
        for m in conversation
        if m.role == "assistant"
    ]
    assert sum(lengths) / len(lengths) < 12
    assert max(lengths) <= 30


def test_changing_facts_are_always_fetched(conversations):
    """No assistant turn tells a price, a temperature or an hour unless a result stands right before it."""
    tells = re.compile(
        r"\bcoins\b|\bat \d+ F\b|with \d+ F|about \d+ F|\bopens at\b|\bis open from\b|visit .* between \d"
    )
    asked = fetched = 0
    for conversation in conversations:
        for before, message in pairwise(conversation):
            if message.role == "assistant" and tells.search(message_text(message)):
                asked += 1
                fetched += before.role == "tool"
    assert asked > 300
    assert fetched == asked


def test_write_is_the_same_twice_and_says_what_it_wrote(tmp_path):
    before = random.getstate()
    first = write(tmp_path / "one", 0.05, 7, n_per_skill=20)
    second = write(tmp_path / "two", 0.05, 7, n_per_skill=20)
    assert first == second == json.loads((tmp_path / "one" / "manifest.json").read_text())
    for name, entry in first["files"].items():
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["rows"] == data.count(b"\n")
    assert write(tmp_path / "three", 0.05, 8, n_per_skill=20)["files"] != first["files"]
    assert random.getstate() == before
    assert drawn_at(tmp_path / "one") == Drawn(0.05, 7, first["files"]["chat.jsonl"]["rows"])
    with pytest.raises(ValueError, match="holds no starter world"):
        drawn_at(tmp_path)
    known = {fact.id for person in make_world(0.05, 7).people for fact in person.facts.values()}
    stated = [
        fact
        for line in (tmp_path / "one" / "pretrain.jsonl").read_text().splitlines()
        for fact in json.loads(line)["facts"]
    ]
    assert len(known & set(stated)) > len(known) / 2, "every document says which facts it states"
    row = json.loads((tmp_path / "one" / "chat.jsonl").read_text().splitlines()[0])
    assert {message["role"] for message in row["messages"]} <= {
        "system",
        "user",
        "assistant",
        "command",
        "result",
    }


def test_the_dial_scales_the_corpus():
    assert sum(1 for _ in training_conversations(0.1)) == 4000
    characters = sum(len(document.text) for document in pretraining_documents(0.1))
    assert 450_000 < characters < 560_000


def test_held_out_questions_use_only_words_that_training_uses(items, shipped):
    """Asked in an unseen way, but not in an unknown language: a word met nowhere cannot be understood."""
    known: set[str] = set()
    # Judged against all that ships: a fifth of the conversations leaves out rare words by chance.
    for text in shipped[0]:
        known.update(re.findall(r"[a-z']+", text.lower()))
    for document in pretraining_documents():
        known.update(re.findall(r"[a-z']+", document.text.lower()))
    for item in items:
        asked = set(re.findall(r"[a-z']+", re.sub(r"\{\w+\}'?s?", " ", item.template.lower())))
        assert asked <= known, (item.skill, item.template, asked - known)


def test_what_is_the_persons_is_yours_in_the_answer(conversations):
    """A plan about "my sister" is about "your sister" when the assistant speaks of it."""
    replies = [
        message_text(reply)
        for turns in conversations
        for asked, reply in pairwise(turns)
        if reply.role == "assistant"
        and re.search(r"help with|^To |^If you want to", message_text(reply))
        and " my " in message_text(asked)
    ]
    assert len(replies) > 50
    assert not [reply for reply in replies if re.search(r"\bmy\b", reply)]
