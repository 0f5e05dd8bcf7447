"""Transactions: whole or not at all, one writer, readers that cannot write, owner-only files."""

import ast
import os
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

import chatwright
from chatwright.errors import InputError
from chatwright.store.database import Database
from chatwright.store.schema import BACKUPS


def add(connection, path):
    connection.execute(sa.insert(BACKUPS).values(path=path, created="now"))


def paths(database):
    with database.read() as connection:
        query = sa.select(BACKUPS.c.path).order_by(BACKUPS.c.path)
        return connection.execute(query).scalars().all()


def test_a_transaction_that_fails_leaves_nothing(store):
    def fail_late():
        with store.database.write() as connection:
            add(connection, "a")
            raise KeyError

    with pytest.raises(KeyError):
        fail_late()
    with store.database.write() as connection:
        add(connection, "b")
    assert paths(store.database) == ["b"]


def test_reading_connections_see_one_state_while_another_writes(store):
    database = store.database
    with database.read() as connection:
        count = sa.select(sa.func.count()).select_from(BACKUPS)
        assert connection.execute(count).scalar() == 0
        with database.write() as writer:
            add(writer, "a")
        assert connection.execute(count).scalar() == 0
    assert paths(database) == ["a"]


def test_reading_connections_cannot_write(store):
    with pytest.raises(sa.exc.DBAPIError), store.database.read() as connection:
        add(connection, "a")


def test_threads_and_a_second_process_write_one_after_the_other(address):
    # Two Database objects share nothing but the file, as two processes do.
    databases = [Database(address), Database(address)]

    def write(number):
        for step in range(20):
            with databases[number % 2].write() as connection:
                query = sa.select(sa.func.count()).select_from(BACKUPS)
                seen = connection.execute(query).scalar()
                add(connection, f"{number}-{step}-{seen}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = paths(databases[0])
    assert len(written) == 80
    if databases[0].is_sqlite:  # each writer saw all that others had written before
        assert sorted(int(path.rsplit("-", 1)[1]) for path in written) == list(range(80))
    for database in databases:
        database.close()


def test_only_the_owner_can_read_the_file(tmp_path):
    database = Database(tmp_path / "store.db")
    with database.write() as connection:
        add(connection, "a")
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("store.db*")}
    modes.pop("store.db.lock", None)  # empty
    assert os.name == "nt" or set(modes.values()) == {0}
    assert {"store.db", "store.db-wal"} <= modes.keys()
    database.close()


@pytest.mark.parametrize("content", [b"not a database, but some text", b"{}"])
def test_a_file_of_another_kind_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Database(path)
    assert caught.value.field == "store"
    assert path.read_bytes() == content


@pytest.mark.parametrize("address", ["mysql://root@host/x", "missing/folder/store.db"])
def test_an_unusable_address_is_refused(address):
    with pytest.raises(InputError) as caught:
        Database(address)
    assert caught.value.field == "store"


def test_errors_hold_no_text_of_a_conversation(tmp_path):
    secret = "the secret of a user"
    database = Database(tmp_path / "store.db")
    with database.write() as connection:
        add(connection, secret)
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as connection:
        add(connection, secret)
    assert secret not in str(caught.value)
    database.close()


CONNECTIONS = {"read", "write", "maintain"}


def connections_in_coroutines(source):
    """Return the lines where a coroutine opens a connection: it could be cancelled while open."""
    return [
        item.context_expr.lineno
        for coroutine in ast.walk(ast.parse(source))
        if isinstance(coroutine, ast.AsyncFunctionDef)
        for block in ast.walk(coroutine)
        if isinstance(block, ast.With | ast.AsyncWith)
        for item in block.items
        if isinstance(call := item.context_expr, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in CONNECTIONS
        and "database" in ast.unparse(call.func.value)
    ]


def test_no_connection_is_open_while_a_coroutine_waits():
    package = Path(chatwright.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert not any(connections_in_coroutines(source) for source in sources.values())
    store = [ast.parse(text) for path, text in sources.items() if path.parent == package / "store"]
    assert len(store) > 10
    coroutines = (ast.AsyncFunctionDef, ast.Await)
    assert not [node for tree in store for node in ast.walk(tree) if isinstance(node, coroutines)]


def test_a_connection_in_a_coroutine_is_found():
    planted = "async def f(store):\n    with store.database.write() as c:\n        await g(c)\n"
    assert connections_in_coroutines(planted) == [2]
    assert connections_in_coroutines(planted.replace("async ", "").replace("await ", "")) == []
