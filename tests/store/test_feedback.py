"""Feedback belongs to an exact answer, its weights and a user; one piece of each kind."""

import pytest
import sqlalchemy as sa

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Answer, Origin
from chatwright.store.schema import FEEDBACK

ORIGIN = Origin("starter", "ab" * 32)


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


@pytest.fixture
def question(store, ann):
    conversation = store.conversations.create(ann).id
    store.messages.add(ann, conversation, None, Message("system", "Be kind."))
    parent = store.messages.tree(ann, conversation)[0].id
    return conversation, store.messages.add(ann, conversation, parent, Message("user", "When?"))[
        0
    ].id


@pytest.fixture
def answers(store, ann, question):
    ids = []
    for text in ("At seven.", "At nine.", "Never."):
        pending = store.messages.add_answer(ann, *question, ORIGIN)
        store.messages.complete(ann, pending.id, Answer(Message("assistant", text)))
        ids.append(pending.id)
    return ids


def thumb(answer, is_up, **values):
    return Opinion(kind="thumb", messages=(answer,), is_up=is_up, **values)


def ranking(answers, *ranks):
    return Opinion(kind="ranking", messages=tuple(answers), ranks=ranks)


def test_feedback_comes_back_and_a_new_piece_replaces_the_old(store, ann, question, answers):
    store.feedback.give(ann, thumb(answers[0], True))
    second = store.feedback.give(ann, thumb(answers[0], False, reason="wrong"))
    better = Message("assistant", "At eight.")
    correction = store.feedback.give(
        ann, Opinion(kind="correction", messages=(answers[0],), better=better)
    )
    store.feedback.give(ann, ranking(answers[:2], 1, 2))
    last = store.feedback.give(ann, ranking([answers[2], answers[1]], 1, 1))
    found = store.feedback.of_conversation(ann, question[0])
    assert found == (second, correction, last)  # the ranking went as a whole
    store.feedback.delete(ann, last.id)
    assert store.feedback.of_conversation(ann, question[0]) == (second, correction)


def test_each_row_has_the_weights_of_the_answer(store, ann, answers):
    store.feedback.give(ann, ranking(answers, 3, 1, 2))
    with store.database.read() as connection:
        rows = connection.execute(sa.select(FEEDBACK.c.message_id, FEEDBACK.c.weights)).all()
    assert {tuple(row) for row in rows} == {(id_, ORIGIN.weights) for id_ in answers}


def test_the_database_refuses_feedback_with_other_weights(store, ann, answers):
    store.feedback.give(ann, thumb(answers[0], True))
    with pytest.raises(sa.exc.IntegrityError), store.database.write() as connection:
        connection.execute(sa.update(FEEDBACK).values(weights="cd" * 32))


def test_rated_conversations_hold_the_branch_before_the_answers(store, ann, answers):
    store.feedback.give(ann, ranking(answers[:2], 2, 1))
    (rated,) = store.feedback.rated_conversations()
    assert [stored.message.text for stored in rated.prompt] == ["Be kind.", "When?"]
    assert [stored.message.text for stored in rated.answers] == ["At seven.", "At nine."]
    assert (rated.owner_id, rated.feedback.opinion.ranks) == (ann, (2, 1))


def test_answers_of_others_and_unfinished_ones_are_refused(store, ann, question, answers):
    ben = store.users.add("ben", "member", "correct horse").id
    given = store.feedback.give(ann, thumb(answers[0], True))
    pending = store.messages.add_answer(ann, *question, ORIGIN).id
    for attempt in (
        lambda: store.feedback.give(ben, thumb(answers[0], True)),
        lambda: store.feedback.give(ann, thumb(question[1], True)),  # a user's message
        lambda: store.feedback.delete(ben, given.id),
    ):
        with pytest.raises(NotFound):
            attempt()
    with pytest.raises(Conflict) as caught:
        store.feedback.give(ann, thumb(pending, True))
    assert caught.value.code == "not_complete"
    assert store.feedback.of_conversation(ben, question[0]) == ()


def test_answers_to_different_messages_cannot_be_ranked(store, ann, question, answers):
    _, pending = store.messages.add(ann, question[0], None, Message("user", "x"), answer_by=ORIGIN)
    store.messages.complete(ann, pending.id, Answer(Message("assistant", "y")))
    with pytest.raises(Conflict):
        store.feedback.give(ann, ranking([answers[0], pending.id], 1, 2))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "thumb", "messages": ("a",)},
        {"kind": "thumb", "messages": ("a", "b"), "is_up": True},
        {"kind": "correction", "messages": ("a",)},
        {"kind": "correction", "messages": ("a",), "better": Message("user", "x")},
        {"kind": "ranking", "messages": ("a",), "ranks": (1,)},
        {"kind": "ranking", "messages": ("a", "a"), "ranks": (1, 2)},
        {"kind": "ranking", "messages": ("a", "b"), "ranks": (1,)},
        {"kind": "ranking", "messages": ("a", "b"), "ranks": (0, 1)},
        {"kind": "ranking", "messages": ("a", "b"), "ranks": (1, 2), "is_up": True},
        {"kind": "thumb", "messages": ("a",), "is_up": True, "reason": "x" * 5001},
    ],
)
def test_opinions_that_say_nothing_are_refused(values):
    with pytest.raises(InputError):
        Opinion(**values)
