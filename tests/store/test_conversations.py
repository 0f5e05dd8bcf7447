"""Lists, folders and changes of conversations; nothing of another user can be reached."""

import pytest

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.messages import Origin, StoredMessage, insert_tree

REST = ("complete", Origin(), None, None, "")


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


@pytest.fixture
def ben(store):
    return store.users.add("ben", "member", "correct horse").id


def test_a_list_is_paged_by_the_latest_change(store, ann, ben):
    made = [store.conversations.create(ann, f"{number}").id for number in range(5)]
    store.conversations.create(ben, "other")
    store.messages.add(ann, made[1], None, Message("user", "hi"))
    found, before = [], None
    while True:
        page = store.conversations.list(ann, limit=2, before=before)
        found += [conversation.id for conversation in page.conversations]
        before = page.next
        if before is None:
            break
    assert found == [made[1], made[4], made[3], made[2], made[0]]


def test_changes_are_stored_and_others_stay(store, ann):
    conversation = store.conversations.create(ann, "a", settings={"temperature": 0.5})
    changed = store.conversations.update(ann, conversation.id, title="b")
    assert (changed.title, changed.settings) == ("b", {"temperature": 0.5})
    changed = store.conversations.update(ann, conversation.id, settings={"é": [1]})
    assert store.conversations.get(ann, conversation.id) == changed
    assert (changed.title, changed.settings) == ("b", {"é": [1]})


def test_folders_hold_conversations_and_leave_them_when_deleted(store, ann):
    folder = store.conversations.add_folder(ann, "work")
    with pytest.raises(Conflict):
        store.conversations.add_folder(ann, "work")
    inside = store.conversations.create(ann, "a", folder=folder.id)
    moved = store.conversations.create(ann, "b")
    store.conversations.update(ann, moved.id, folder=folder.id)
    assert len(store.conversations.list(ann, folder=folder.id).conversations) == 2
    assert store.conversations.update(ann, moved.id, folder="").folder is None
    assert store.conversations.rename_folder(ann, folder.id, "home").name == "home"
    store.conversations.delete_folder(ann, folder.id)
    assert store.conversations.get(ann, inside.id).folder is None
    assert store.conversations.folders(ann) == ()


def test_a_deleted_conversation_takes_its_messages_along(store, ann):
    conversation = store.conversations.create(ann).id
    branch = [
        StoredMessage(f"{n}", f"{n - 1}" if n else None, Message("user", f"word{n}"), *REST)
        for n in range(1100)  # deeper than SQLite's limit of nested deletions
    ]
    with store.database.write() as connection:
        ids = insert_tree(connection, ann, conversation, branch)
    assert len(store.messages.branch(ann, ids["1099"])) == 1100
    assert len(store.search.find(ann, "word3")) == 20
    store.conversations.delete(ann, conversation)
    with pytest.raises(NotFound):
        store.messages.branch(ann, ids["0"])
    assert store.search.find(ann, "word3") == ()


def test_nothing_of_another_user_can_be_reached(store, ann, ben):
    conversations = store.conversations
    folder = conversations.add_folder(ann, "work").id
    conversation = conversations.create(ann, "secret").id
    message = store.messages.add(ann, conversation, None, Message("user", "secret"))[0].id
    own = conversations.create(ben, "own").id
    for attempt in (
        lambda: conversations.get(ben, conversation),
        lambda: conversations.update(ben, conversation, title="x"),
        lambda: conversations.delete(ben, conversation),
        lambda: conversations.create(ben, folder=folder),
        lambda: conversations.update(ben, own, folder=folder),
        lambda: conversations.update(ben, own, shown=message),
        lambda: conversations.rename_folder(ben, folder, "x"),
        lambda: conversations.delete_folder(ben, folder),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert [found.id for found in conversations.list(ben).conversations] == [own]
    assert conversations.list(ben, folder=folder).conversations == ()
    assert conversations.folders(ben) == ()
    assert conversations.get(ann, conversation).title == "secret"


@pytest.mark.parametrize(
    "values", [{"title": "x" * 501}, {"title": "\0"}, {"settings": {"x": "y" * 20_000}}]
)
def test_what_does_not_fit_is_refused(store, ann, values):
    conversation = store.conversations.create(ann).id
    with pytest.raises(InputError) as caught:
        store.conversations.update(ann, conversation, **values)
    assert caught.value.field in values
