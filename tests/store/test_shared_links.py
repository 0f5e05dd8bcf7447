"""Links show one branch up to one message, until they are revoked; every act is audited."""

import pytest

from chatwright.conversation import Message
from chatwright.store.deletion import forget_user
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.messages import Answer, Origin


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


def talk(store, user, conversation, parent, question):
    """Add a question and the answer to it; return their ids."""
    asked, answer = store.messages.add(
        user, conversation, parent, Message("user", question), answer_by=Origin()
    )
    store.messages.complete(user, answer.id, Answer(Message("assistant", f"{question}!")))
    return asked.id, answer.id


def texts(store, token):
    return [stored.message.text for stored in store.links.read(token)]


def test_a_link_shows_one_branch_and_nothing_later_until_it_is_renewed(store, ann):
    conversation = store.conversations.create(ann).id
    _, first = talk(store, ann, conversation, None, "one")
    talk(store, ann, conversation, first, "other branch")
    _, end = talk(store, ann, conversation, first, "two")
    link, token = store.links.make(ann, conversation)
    assert link.message == end
    shown = ["one", "one!", "two", "two!"]
    assert texts(store, token) == shown
    talk(store, ann, conversation, end, "later")
    assert texts(store, token) == shown
    store.links.renew(ann, link.id)
    assert texts(store, token) == [*shown, "later", "later!"]
    (found,) = store.links.list(ann, conversation)
    assert found.renewed > found.created == link.created


def test_a_revoked_link_opens_nothing_and_acts_are_audited(store, ann):
    conversation = store.conversations.create(ann).id
    talk(store, ann, conversation, None, "one")
    link, token = store.links.make(ann, conversation)
    other, other_token = store.links.make(ann, conversation)
    assert token != other_token
    assert len(token) >= 43  # 256 random bits
    store.links.renew(ann, link.id)
    store.links.revoke(ann, link.id)
    with pytest.raises(NotFound):
        store.links.read(token)
    assert texts(store, other_token) == ["one", "one!"]
    entries = [entry for entry in store.audit.entries() if entry.action.startswith("link.")]
    acts = [(entry.action, entry.actor, entry.subject) for entry in reversed(entries)]
    assert acts == [
        ("link.make", ann, link.id),
        ("link.make", ann, other.id),
        ("link.renew", ann, link.id),
        ("link.revoke", ann, link.id),
    ]
    store.audit.verify()


def test_links_end_with_their_conversation_and_their_owner(store, ann):
    tokens = []
    for number in range(3):
        conversation = store.conversations.create(ann).id
        talk(store, ann, conversation, None, str(number))
        tokens.append(store.links.make(ann, conversation)[1])
    store.conversations.delete(ann, conversation)
    with pytest.raises(NotFound):
        store.links.read(tokens[2])
    store.users.set_active(ann, False)
    with pytest.raises(NotFound):
        store.links.read(tokens[0])
    store.users.set_active(ann, True)
    assert texts(store, tokens[0]) == ["0", "0!"]
    forget_user(store.database, ann)
    with pytest.raises(NotFound):
        store.links.read(tokens[0])


def test_others_and_unfinished_answers_are_refused(store, ann):
    ben = store.users.add("ben", "member", "correct horse").id
    conversation = store.conversations.create(ann).id
    with pytest.raises(Conflict):
        store.links.make(ann, conversation)
    asked, _ = talk(store, ann, conversation, None, "one")
    link, token = store.links.make(ann, conversation)
    for attempt in (
        lambda: store.links.make(ben, conversation),
        lambda: store.links.list(ben, conversation),
        lambda: store.links.renew(ben, link.id),
        lambda: store.links.revoke(ben, link.id),
        lambda: store.links.read(link.id),
        lambda: store.links.read(""),
    ):
        with pytest.raises(NotFound):
            attempt()
    store.messages.add_answer(ann, conversation, asked, Origin())
    with pytest.raises(Conflict):
        store.links.renew(ann, link.id)
    assert texts(store, token) == ["one", "one!"]
