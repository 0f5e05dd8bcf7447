"""The chain of hashes notices every change; details of a user can go without breaking it."""

import pytest
import sqlalchemy as sa

from chatwright.errors import InputError
from chatwright.store import audit
from chatwright.store.schema import AUDIT


@pytest.fixture
def log(store):
    with store.database.write() as connection:
        for number in range(4):
            audit.record(connection, f"u{number % 2}", "test", "thing", number=number)
    return store.audit


def change(store, entry, **values):
    with store.database.write() as connection:
        connection.execute(sa.update(AUDIT).where(AUDIT.c.number == entry).values(**values))


def test_entries_come_back_newest_first(log):
    entries = log.entries()
    assert [entry.details for entry in entries] == [{"number": n} for n in (3, 2, 1, 0)]
    assert log.verify() == entries[0].hash


@pytest.mark.parametrize(
    "values",
    [
        {"actor": "u9"},
        {"action": "other"},
        {"subject": "other"},
        {"time": "2020-01-01"},
        {"details": '{"number": 9}'},
        {"hash": "0" * 64},
        {"number": 9},
    ],
)
def test_a_changed_entry_is_found(store, log, values):
    change(store, 2, **values)
    with pytest.raises(InputError) as caught:
        log.verify()
    assert caught.value.value in (2, 3)


def test_a_removed_entry_is_found(store, log):
    with store.database.write() as connection:
        connection.execute(sa.delete(AUDIT).where(AUDIT.c.number == 2))
    with pytest.raises(InputError):
        log.verify()


def test_a_cut_end_changes_the_last_hash(store, log):
    before = log.verify()
    with store.database.write() as connection:
        connection.execute(sa.delete(AUDIT).where(AUDIT.c.number == 4))
    assert log.verify() != before


def test_details_of_a_user_go_and_the_chain_stays_whole(store, log):
    before = log.verify()
    with store.database.write() as connection:
        assert audit.forget_details(connection, "u1") == 2
    assert log.verify() == before
    assert [entry.details for entry in log.entries()] == [None, {"number": 2}, None, {"number": 0}]
