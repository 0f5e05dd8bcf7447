"""The tree of turns: pending answers, retries, branches; every part comes back as it was."""

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatwright.conversation import File, Image, Message, Text, Thinking, ToolCall, ToolResult
from chatwright.errors import InputError
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.idempotency import retry_of
from chatwright.store.message_json import message_from_json, parts_to_json
from chatwright.store.messages import Answer, Origin, TokenCounts

QUESTION = Message("user", "When do you open?")
ORIGIN = Origin("starter", "ab" * 32)


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


@pytest.fixture
def conversation(store, ann):
    return store.conversations.create(ann).id


def test_a_question_and_its_answer_are_stored_in_two_steps(store, ann, conversation):
    question, pending = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN)
    assert (pending.state, pending.parent, pending.message.parts) == ("pending", question.id, ())
    answer = Answer(
        Message("assistant", (Thinking("hm"), Text("At seven."))),
        "complete",
        TokenCounts(31, 12, 4),
        {"seed": 7},
    )
    done = store.messages.complete(ann, pending.id, answer)
    assert (done.state, done.message, done.tokens) == ("complete", answer.message, answer.tokens)
    assert (done.receipt, done.origin) == ({"seed": 7}, ORIGIN)
    assert store.messages.tree(ann, conversation) == (question, done)
    assert store.conversations.get(ann, conversation).shown == done.id
    with pytest.raises(Conflict) as caught:
        store.messages.complete(ann, pending.id, Answer(Message("assistant", "other")))
    assert caught.value.code == "not_pending"
    assert store.messages.branch(ann, pending.id) == (question, done)


def test_edits_and_other_replies_are_branches(store, ann, conversation):
    question, first = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN)
    second = store.messages.add_answer(ann, conversation, question.id, ORIGIN)
    edited, third = store.messages.add(
        ann, conversation, None, Message("user", "Closed?"), answer_by=ORIGIN
    )
    follow, _ = store.messages.add(ann, conversation, second.id, Message("user", "Thanks"))
    tree = [message.id for message in store.messages.tree(ann, conversation)]
    assert tree == [question.id, first.id, second.id, edited.id, third.id, follow.id]
    branch = [message.id for message in store.messages.branch(ann, follow.id)]
    assert branch == [question.id, second.id, follow.id]


def test_a_retry_returns_the_first_messages_and_adds_none(store, ann, conversation):
    retry = retry_of("key", ["body"])
    first = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN, retry=retry)
    again = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN, retry=retry)
    assert again == first
    assert len(store.messages.tree(ann, conversation)) == 2
    with pytest.raises(Conflict) as caught:
        store.messages.add(ann, conversation, None, QUESTION, retry=retry_of("key", ["other"]))
    assert caught.value.code == "key_reused"
    ben = store.users.add("ben", "member", "correct horse").id
    other = store.conversations.create(ben).id
    added, _ = store.messages.add(ben, other, None, QUESTION, retry=retry)
    assert added.id != first[0].id  # keys belong to a user


def test_two_completions_at_once_store_one(store, ann, conversation):
    _, pending = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN)
    outcomes = []

    def complete(text):
        try:
            store.messages.complete(ann, pending.id, Answer(Message("assistant", text)))
            outcomes.append(text)
        except Conflict as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=complete, args=(f"text {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("not_pending") == 5
    winner = next(text for text in outcomes if text != "not_pending")
    assert store.messages.tree(ann, conversation)[1].message.text == winner


def test_pending_answers_of_a_stopped_server_fail(store, ann, conversation):
    store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN)
    assert store.messages.fail_pending(timedelta(hours=1)) == 0
    assert store.messages.fail_pending() == 1
    states = [message.state for message in store.messages.tree(ann, conversation)]
    assert states == ["complete", "failed"]


def test_nothing_of_another_user_or_conversation_can_be_reached(store, ann, conversation):
    question, pending = store.messages.add(ann, conversation, None, QUESTION, answer_by=ORIGIN)
    ben = store.users.add("ben", "member", "correct horse").id
    own = store.conversations.create(ben).id
    messages, answer = store.messages, Answer(Message("assistant", "x"))
    for attempt in (
        lambda: messages.tree(ben, conversation),
        lambda: messages.branch(ben, pending.id),
        lambda: messages.complete(ben, pending.id, answer),
        lambda: messages.add(ben, conversation, None, QUESTION),
        lambda: messages.add(ben, own, question.id, QUESTION),
        lambda: messages.add_answer(ben, own, question.id, ORIGIN),
        lambda: messages.add(ann, store.conversations.create(ann).id, question.id, QUESTION),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert messages.tree(ben, own) == ()
    assert messages.tree(ann, conversation) == (question, pending)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.integers() | st.none() | st.lists(TEXTS), max_size=3)
PARTS = {
    "user": st.builds(Text, TEXTS)
    | st.builds(Image, st.binary(max_size=20), TEXTS)
    | st.builds(File, TEXTS, TEXTS, st.binary(max_size=20)),
    "assistant": st.builds(Text, TEXTS)
    | st.builds(Thinking, TEXTS)
    | st.builds(ToolCall, TEXTS, TEXTS, OBJECTS),
    "tool": st.builds(ToolResult, TEXTS, TEXTS),
}
MESSAGES = st.sampled_from(sorted(PARTS)).flatmap(
    lambda role: st.builds(Message, st.just(role), st.lists(PARTS[role], max_size=4))
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(message=MESSAGES)
def test_every_message_comes_back_as_it_was(store, message):
    if not store.users.list():
        store.users.owner()
    user = store.users.owner().id
    conversation = store.conversations.create(user).id
    store.messages.add(user, conversation, None, message)
    assert store.messages.tree(user, conversation)[0].message == message


@pytest.mark.parametrize(
    ("role", "values", "field"),
    [
        ("user", "hi", "parts"),
        ("user", ["hi"], "parts.0"),
        ("user", [{"type": "text", "text": "a"}, {"type": "text"}], "parts.1"),
        ("user", [{"type": "text", "text": 1}], "parts.0"),
        ("user", [{"type": "text", "text": "a", "more": "b"}], "parts.0"),
        ("user", [{"type": "image", "media_type": "image/png", "data": "?"}], "parts.0.data"),
        ("user", [{"type": "thinking", "text": "a"}], "parts"),
        ("assistant", [{"type": "tool_call", "id": "", "name": "", "arguments": "["}], "parts.0"),
    ],
)
def test_wrong_parts_are_refused_by_their_place(role, values, field):
    with pytest.raises(InputError) as caught:
        message_from_json(role, values)
    assert caught.value.field == field


def test_half_a_surrogate_pair_is_refused(store, ann, conversation):
    with pytest.raises(InputError):
        store.messages.add(ann, conversation, None, Message("user", "\ud800"))
    assert parts_to_json(QUESTION.parts) == [{"type": "text", "text": "When do you open?"}]
