"""The corpus is deterministic, and its exam (the evaluation set) is not in the training data."""

import hashlib
import json
import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.starter import (
    CorpusSettings,
    exam_items,
    make_fact_table,
    pretraining_documents,
    read_settings,
    training_conversations,
    write_corpus,
)
from chatwright.starter.attributes import ATTRIBUTES
from chatwright.starter.conversations.mixture import SKILLS
from chatwright.starter.exam_item import ExamItem
from chatwright.starter.fact_wording import fill_with_fact
from chatwright.tokenizer.chat_template import require_order
from chatwright.tokenizer.tool_call_text import message_text

SIZE = 0.2
SEED = 0
SPAN_LENGTH = 6  # words


@pytest.fixture(scope="module")
def conversations() -> list[tuple[Message, ...]]:
    return list(training_conversations(SIZE, SEED))


@pytest.fixture(scope="module")
def items() -> list[ExamItem]:
    return exam_items(SIZE, SEED, 120)


@pytest.fixture(scope="module")
def full_training_texts() -> list[str]:
    """All training texts of the default size: a leak may occur once in thousands of texts."""
    messages = [message_text(message) for turns in training_conversations() for message in turns]
    return messages + [document.text for document in pretraining_documents()]


@pytest.fixture(scope="module")
def full_exam() -> list[ExamItem]:
    return exam_items()


def spans(text: str) -> set[tuple[str, ...]]:
    """All runs of six words, in lower case and without punctuation."""
    words = re.findall(r"[\w'@.+-]*\w", text.lower())
    return {tuple(words[i : i + SPAN_LENGTH]) for i in range(len(words) - SPAN_LENGTH + 1)}


def test_spans_ignore_case_and_punctuation():
    copy = spans("One, two, three, four, five, six.")
    assert spans("He said: one two three four five six!") & copy
    assert not spans("one two three four five") & spans("one two three four five")


def test_no_exam_question_shares_six_words_in_a_row_with_training(full_training_texts, full_exam):
    exam_spans: dict[tuple[str, ...], str] = {}
    for item in full_exam:
        for message in item.messages:
            if message.role == "user":
                exam_spans |= dict.fromkeys(spans(message_text(message)), item.skill)
    assert len(exam_spans) > 10_000
    for text in full_training_texts:
        shared = spans(text) & exam_spans.keys()
        assert not shared, (exam_spans[min(shared)], min(shared))


def question_pattern(template: str) -> str:
    """A regular expression for every question that a template gives."""
    slots = {
        "kind": "phone number|e-mail address",
        "past": r"\w+ed|bought|lost|found|sold",
        "name": r"[A-Z]\w+",
        "n": r"\w+",
    }
    slots |= dict.fromkeys(("text", "said", "claim", "question"), ".+")
    any_noun = r"(?:an? )?[\w.@'-]+(?: [A-Z][\w-]+)?"
    parts = re.split(r"\{(\w+)\}", template)
    return "".join(
        f"(?:{slots.get(part, any_noun)})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )


def test_no_training_message_is_an_exam_question_however_short(full_exam):
    """Some exam questions have fewer than six words: "Which phone number is mine?"."""
    templates = sorted({item.template for item in full_exam})
    exam_question = re.compile("|".join(f"(?:{question_pattern(text)})" for text in templates))
    assert exam_question.fullmatch("Which phone number is mine?")
    assert exam_question.fullmatch("Name Mira's town.")
    for turns in training_conversations():
        for message in turns:
            assert not exam_question.fullmatch(message_text(message)), message_text(message)


def test_every_skill_has_at_least_five_exam_questions(items):
    for skill in SKILLS:
        of_skill = [item for item in items if item.skill == skill]
        assert len(of_skill) >= 90, skill
        assert len({item.template for item in of_skill}) >= 5, skill


def test_items_of_fact_closed_are_closed_book_and_those_of_fact_open_are_open_book(items):
    for item in items:
        if item.skill in ("fact_closed", "fact_open"):
            assert item.setting == item.skill.removeprefix("fact_")


def test_an_open_book_prompt_contains_the_answer_and_no_name_of_the_fact_table(items):
    names = {person.name for person in make_fact_table(SIZE, SEED).people}
    about_people = ("fact_open", "follow_up", "correction_right", "correction_wrong")
    for item in items:
        if item.setting == "open" and item.skill in (*about_people, "false_premise"):
            text = " ".join(message_text(message) for message in item.messages)
            assert not names & set(re.findall(r"[A-Z][a-z]+", text)), text
            assert item.required[0][0] in text


def test_training_replies_answer_training_facts_and_no_held_out_fact(conversations):
    table = make_fact_table(SIZE, SEED)
    replies = "\n".join(
        message_text(message)
        for turns in conversations
        for message in turns
        if message.role == "assistant"
    )

    def is_answered(fact) -> bool:
        return fill_with_fact(ATTRIBUTES[fact.attribute].answer, fact, table) in replies

    assert not [fact.id for fact in table.held_out_facts if is_answered(fact)]
    # The same search finds training facts, so it would find held-out ones.
    n_answered = sum(is_answered(fact) for fact in table.training_facts)
    assert n_answered > 0.9 * len(table.training_facts)


def test_documents_contain_the_value_of_every_held_out_fact():
    text = "\n".join(document.text for document in pretraining_documents(SIZE, SEED)).lower()
    for fact in make_fact_table(SIZE, SEED).held_out_facts:
        assert fact.value.lower() in text, fact.id


def test_documents_state_the_facts_they_list_and_together_all_lasting_facts():
    table = make_fact_table(SIZE, SEED)
    facts = {fact.id: fact for fact in table.facts}
    stated: set[str] = set()
    for document in pretraining_documents(SIZE, SEED):
        text = document.text.lower()
        for fact_id in document.fact_ids:
            assert facts[fact_id].subject.lower() in text, document
            assert facts[fact_id].value.lower() in text, document
        stated.update(document.fact_ids)
    assert stated == {fact.id for fact in table.facts if not fact.is_changing}


def test_the_roles_of_a_conversation_are_in_a_valid_order_and_replies_are_short(conversations):
    for turns in conversations:
        require_order(turns)
        assert all(message_text(message).strip() for message in turns)
    lengths = [
        len(message_text(message).split())
        for turns in conversations
        for message in turns
        if message.role == "assistant"
    ]
    assert sum(lengths) / len(lengths) < 12
    assert max(lengths) <= 30


def test_a_reply_gives_a_price_temperature_or_hour_only_after_a_tool_result(conversations):
    changing_value = re.compile(
        r"\bcoins\b|\bat \d+ F\b|with \d+ F|about \d+ F|\bopens at\b|\bis open from\b"
        r"|visit .* between \d"
    )
    roles_before = [
        before.role
        for turns in conversations
        for before, message in pairwise(turns)
        if message.role == "assistant" and changing_value.search(message_text(message))
    ]
    assert len(roles_before) > 300
    assert set(roles_before) == {"tool"}


def test_writing_a_corpus_twice_gives_equal_files_and_a_manifest_with_their_hashes(tmp_path: Path):
    before = random.getstate()
    first = write_corpus(tmp_path / "one", size=0.05, seed=7, n_per_skill=20)
    second = write_corpus(tmp_path / "two", size=0.05, seed=7, n_per_skill=20)
    assert random.getstate() == before
    assert first == second == json.loads((tmp_path / "one" / "manifest.json").read_text())
    for name, entry in first["files"].items():
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["rows"] == data.count(b"\n")
    other_seed = write_corpus(tmp_path / "three", size=0.05, seed=8, n_per_skill=20)
    assert other_seed["files"] != first["files"]


def test_the_bytes_of_a_corpus_are_the_same_on_every_machine_and_in_every_version(tmp_path: Path):
    """A change of a pattern or word list changes these hashes; then train the models again."""
    files = write_corpus(tmp_path, size=0.05, seed=7, n_per_skill=20)["files"]
    assert {name: entry["sha256"][:16] for name, entry in files.items()} == {
        "pretrain.jsonl": "888546c23a2dcac6",
        "chat.jsonl": "124c2e7a0a943fa7",
        "heldout.jsonl": "f39d1938d7b84142",
    }


def test_rows_of_pretrain_jsonl_list_facts_and_rows_of_chat_jsonl_have_roles(tmp_path: Path):
    write_corpus(tmp_path, size=0.05, seed=7, n_per_skill=20)
    rows = [json.loads(line) for line in (tmp_path / "pretrain.jsonl").read_text().splitlines()]
    stated = {fact_id for row in rows for fact_id in row["facts"]}
    people = make_fact_table(size=0.05, seed=7).people
    about_people = {fact.id for person in people for fact in person.facts.values()}
    assert len(about_people & stated) > len(about_people) / 2
    row = json.loads((tmp_path / "chat.jsonl").read_text().splitlines()[0])
    roles = {message["role"] for message in row["messages"]}
    assert roles <= {"system", "user", "assistant", "command", "result"}


def test_the_settings_of_a_written_corpus_are_read_back(tmp_path: Path):
    manifest = write_corpus(tmp_path / "corpus", size=0.05, seed=7, n_per_skill=1)
    n_conversations = manifest["files"]["chat.jsonl"]["rows"]
    assert read_settings(tmp_path / "corpus") == CorpusSettings(0.05, 7, n_conversations)


@pytest.mark.parametrize("manifest", [None, "", "{}", '{"size": "large"}'])
def test_a_folder_with_a_missing_or_damaged_manifest_is_refused(
    tmp_path: Path, manifest: str | None
):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError) as caught:
        read_settings(tmp_path)
    assert caught.value.field.startswith(str(tmp_path))
    assert caught.value.remedy


def test_size_scales_the_numbers_of_conversations_and_characters():
    assert sum(1 for _ in training_conversations(0.1)) == 4000
    n_characters = sum(len(document.text) for document in pretraining_documents(0.1))
    assert 450_000 < n_characters < 560_000


def test_exam_questions_use_only_words_that_training_uses(items, full_training_texts):
    """A new question must not contain a word that the model has never seen."""
    known: set[str] = set()
    # The whole corpus: a fifth of the conversations leaves out rare words by chance.
    for text in full_training_texts:
        known.update(re.findall(r"[a-z']+", text.lower()))
    for item in items:
        template = re.sub(r"\{\w+\}'?s?", " ", item.template.lower())
        unknown = set(re.findall(r"[a-z']+", template)) - known
        assert not unknown, (item.skill, item.template)


def test_my_in_a_request_becomes_your_in_the_reply(conversations):
    replies = [
        message_text(reply)
        for turns in conversations
        for request, reply in pairwise(turns)
        if reply.role == "assistant"
        and re.search(r"help with|^To |^If you want to", message_text(reply))
        and " my " in message_text(request)
    ]
    assert len(replies) > 50
    assert not [reply for reply in replies if re.search(r"\bmy\b", reply)]
