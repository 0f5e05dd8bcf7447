"""A backup is the state at one moment, whole, also while others write."""

import threading

import pytest

from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.store.store import Store


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", "correct horse").id


def test_a_copy_under_writes_holds_whole_turns(store, ann, tmp_path):
    if not store.database.is_sqlite:
        pytest.skip("an archive of PostgreSQL is restored by pg_restore")
    conversation = store.conversations.create(ann).id
    is_done = threading.Event()
    n_added = 0

    def write():
        nonlocal n_added
        while not is_done.is_set():
            with store.database.write():
                pass
            store.messages.add(ann, conversation, None, Message("user", "a" * 2000))
            n_added += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            before = n_added
            store.backups.make(tmp_path / f"{number}.db")
            with Store(tmp_path / f"{number}.db") as copy:
                held = len(copy.messages.tree(ann, conversation))
                assert copy.audit.verify()
                assert len(copy.search.find(ann, "aaa", limit=100_000)) == held
            assert before <= held <= n_added + 1
    finally:
        is_done.set()
        writer.join()
    assert [backup.path for backup in store.backups.list()] == [
        str(tmp_path / f"{number}.db") for number in range(5)
    ]


def test_an_archive_of_postgresql_is_made_and_recorded(store, ann, tmp_path):
    if store.database.is_sqlite:
        pytest.skip("a copy of SQLite is a database")
    made = store.backups.make(tmp_path / "store.dump")
    assert (tmp_path / "store.dump").read_bytes().startswith(b"PGDMP")
    assert store.backups.list() == (made,)


def test_a_file_that_exists_is_kept(store, tmp_path):
    path = tmp_path / "notes"
    path.write_text("mine")
    for wrong in (path, tmp_path / "missing" / "copy.db"):
        with pytest.raises(InputError) as caught:
            store.backups.make(wrong)
        assert caught.value.field == "file"
    assert path.read_text() == "mine"
    assert not list(tmp_path.glob(".tmp-*"))
