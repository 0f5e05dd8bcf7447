"""Search: the same messages as a scan over all texts, the owner's only, the latest first."""

import random

import pytest

from chatwright.conversation import Message
from chatwright.store.messages import Answer, Origin
from chatwright.store.search import snippet

WORDS = ["Bäcker", "bread", "Brot", "seven", "open", "opening", "sunday", "z3"]

HOSTILE = [
    *("", "   ", "*", '"', "a AND", "NOT b", "NEAR(a b)", "a' OR 1=1 --", "a & | !b:*", "\\"),
    *("(((", "-a", "{text}: a", "user_id : x", "a" * 5000, "é" * 100, "\0", "a:b:c"),
]


@pytest.fixture
def users(store):
    return [store.users.add(name, "member", "correct horse").id for name in ("ann", "ben")]


def test_the_search_finds_what_a_scan_finds(store, users):
    choose = random.Random(3)
    texts = {}
    for user in users:
        for _ in range(3):
            conversation = store.conversations.create(user, "title").id
            for _ in range(15):
                text = " ".join(choose.choices(WORDS, k=choose.randint(1, 5)))
                added, _ = store.messages.add(user, conversation, None, Message("user", text))
                texts[user, added.id] = text.lower().split()
    for query in ["bread", "bread open", "OPEN", "ope", "op", "z3", "brot sunday seven", "nothing"]:
        *whole, last = query.lower().split()
        for user in users:
            expected = [
                id_
                for (owner, id_), words in reversed(texts.items())
                if owner == user
                and all(word in words for word in whole)
                and (last in words or any(len(last) > 2 and w.startswith(last) for w in words))
            ]
            found = [hit.message for hit in store.search.find(user, query, limit=100)]
            assert found == expected, query
            assert found[:2] == [hit.message for hit in store.search.find(user, query, limit=2)]


def test_completed_and_deleted_messages_change_the_index(store, users):
    ann, _ = users
    conversation = store.conversations.create(ann).id
    question = Message("user", "When?")
    _, pending = store.messages.add(ann, conversation, None, question, answer_by=Origin())
    assert store.search.find(ann, "seven") == ()
    store.messages.complete(ann, pending.id, Answer(Message("assistant", "At seven.")))
    (hit,) = store.search.find(ann, "seven")
    assert (hit.message, hit.conversation, hit.role) == (pending.id, conversation, "assistant")
    store.conversations.delete(ann, conversation)
    assert store.search.find(ann, "seven") == ()


@pytest.mark.parametrize(
    "query",
    HOSTILE,
)
def test_no_query_is_an_error_or_reaches_other_users(store, users, query):
    ann, ben = users
    conversation = store.conversations.create(ann).id
    store.messages.add(ann, conversation, None, Message("user", f"a b c x {ann} {query[:50]}"))
    assert store.search.find(ben, query) == ()
    store.search.find(ann, query)
    assert len(store.search.find(ann, "c x")) == 1


def test_the_id_of_a_user_in_a_query_finds_no_messages_of_that_user(store, users):
    ann, ben = users
    conversation = store.conversations.create(ann).id
    store.messages.add(ann, conversation, None, Message("user", "hello"))
    assert store.search.find(ben, ann) == store.search.find(ann, ann) == ()


def test_a_snippet_is_the_text_around_the_first_match():
    text = "word " * 100 + "the Bäckerei opens" + " word" * 100
    pieces = snippet(text, ["backer"])
    assert [piece.text for piece in pieces if piece.is_match] == ["Bäckerei"]
    joined = "".join(piece.text for piece in pieces)
    assert joined in text
    assert len(joined) == 200
