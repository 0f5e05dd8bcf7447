"""After a user is forgotten, no byte of the user's texts is in any file of the store."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from chatwright.conversation import Message
from chatwright.store import deletion
from chatwright.store.deletion import forget_user
from chatwright.store.errors import NotFound
from chatwright.store.feedback import Opinion
from chatwright.store.messages import Answer, Origin
from chatwright.store.schema import METADATA
from chatwright.store.written_snapshots import record_written_snapshot

CANARY = "zebrafinch"


def files_with(folder: Path, text: str) -> list[str]:
    wanted = text.encode()
    return sorted(p.name for p in folder.iterdir() if wanted in p.read_bytes().lower())


def talk(store, name, word):
    """Add a user who leaves the word in every place that takes a text; return the user."""
    user = store.users.add(f"{name} {word}", "member", "correct horse")
    folder = store.conversations.add_folder(user.id, word)
    conversation = store.conversations.create(user.id, f"title {word}", folder.id, {"system": word})
    parent = None
    for number in range(30):
        question = Message("user", f"{word} question {number}")
        _, pending = store.messages.add(
            user.id, conversation.id, parent, question, answer_by=Origin("m", "ab" * 32)
        )
        text = Message("assistant", f"{word} answer {number} " + "filler " * 200)
        store.messages.complete(user.id, pending.id, Answer(text, receipt={"note": word}))
        parent = pending.id
    better = Message("assistant", word)
    store.feedback.give(
        user.id,
        Opinion(kind="correction", messages=(parent,), better=better, reason=word),
    )
    store.api_keys.add(user.id, word, ["chat"])
    store.sessions.start(user.id)
    store.conversations.update(user.id, conversation.id, title=f"renamed {word}")
    return user


@pytest.fixture
def users(store):
    ann, ben = talk(store, "ann", CANARY), talk(store, "ben", "nightingale")
    # A second round, whose rows of another conversation were deleted before.
    gone = store.conversations.create(ann.id, CANARY).id
    store.messages.add(ann.id, gone, None, Message("user", f"{CANARY} gone"))
    store.conversations.delete(ann.id, gone)
    return ann, ben


def test_no_byte_of_the_user_is_left_and_others_keep_theirs(store, users, tmp_path):
    ann, ben = users
    done = forget_user(store.database, ann.id)
    assert (done.n_conversation, done.n_message, done.n_feedback) == (1, 60, 1)
    if store.database.is_sqlite:
        assert files_with(tmp_path, CANARY) == []
        assert files_with(tmp_path, "nightingale")
    rows = ""
    with store.database.read() as connection:
        for table in METADATA.tables.values():
            rows += str(connection.execute(sa.select(table)).all())
    assert CANARY not in rows
    (conversation,) = store.conversations.list(ben.id).conversations
    assert len(store.messages.tree(ben.id, conversation.id)) == 60
    assert len(store.search.find(ben.id, "nightingale", limit=100)) == 60
    assert store.search.find(ben.id, CANARY) == ()
    assert store.audit.verify()
    with pytest.raises(NotFound):
        forget_user(store.database, ann.id)


@pytest.mark.parametrize("without", ["checkpoint", "rebuild", "VACUUM"])
def test_each_step_is_needed(store, users, tmp_path, monkeypatch, without):
    """Leave one step of the deletion out: the canary is found in a file again."""
    if not store.database.is_sqlite:
        pytest.skip("the files of PostgreSQL belong to its server")
    with store.database.maintain() as connection:
        connection.execute("PRAGMA secure_delete=OFF")  # Debian's SQLite has it on
    monkeypatch.setattr(deletion, "scrub", lambda database: None)
    forget_user(store.database, users[0].id)
    with store.database.maintain() as connection:
        if without == "VACUUM":
            connection.execute("INSERT INTO message_search (message_search) VALUES ('rebuild')")
        if without == "rebuild":
            connection.execute("VACUUM")
        if without != "checkpoint":
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert files_with(tmp_path, CANARY) != []


def test_backups_and_snapshots_that_hold_the_user_are_named(store, users, tmp_path):
    ann, ben = users
    backup = store.backups.make(tmp_path / "copy")
    record_written_snapshot(store.database, "aa" * 32, "/old.jsonl", {ann.id, ben.id})
    record_written_snapshot(store.database, "bb" * 32, "/other.jsonl", {ben.id})
    done = forget_user(store.database, ann.id)
    assert done.backups == (backup,)
    assert [export.sha256 for export in done.snapshots] == ["aa" * 32]
