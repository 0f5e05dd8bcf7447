"""Accounts: passwords, sessions, invitations and keys; expired and foreign ones do not work."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from chatwright.errors import InputError
from chatwright.store.errors import NotFound
from chatwright.store.schema import API_KEYS, INVITATIONS, SESSIONS, USERS

PASSWORD = "correct horse"
EXPIRED = timedelta(seconds=-1)


@pytest.fixture
def ann(store):
    return store.users.add("ann", "member", PASSWORD)


def everything(store, table):
    with store.database.read() as connection:
        return str(connection.execute(sa.select(table)).all())


def test_the_right_password_finds_the_user_and_no_other_does(store, ann):
    store.users.add("ben", "member", "another one")
    assert store.users.check_password("ann", PASSWORD) == ann
    for name, password in [
        ("ann", "another one"),
        ("ben", PASSWORD),
        ("nobody", PASSWORD),
        ("ann", ""),
        ("ann", PASSWORD + " "),
        ("ann", "x" * 10_000_000),
        ("ann\0", PASSWORD),
    ]:
        try:
            assert store.users.check_password(name, password) is None
        except (ValueError, sa.exc.DataError):  # PostgreSQL's driver refuses a null character
            assert "\0" in name


def test_hashes_have_the_stated_costs_and_old_ones_are_made_again(store, ann):
    with store.database.write() as connection:
        old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
        connection.execute(sa.update(USERS).values(password_hash=old))
    assert store.users.check_password("ann", PASSWORD) == ann
    with store.database.read() as connection:
        stored = connection.execute(sa.select(USERS.c.password_hash)).scalar()
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert store.users.check_password("ann", PASSWORD) == ann


@pytest.mark.parametrize(
    ("name", "role", "password", "field"),
    [
        ("ann", "member", PASSWORD, "name"),
        ("", "member", PASSWORD, "name"),
        (" x", "member", PASSWORD, "name"),
        ("x\n", "member", PASSWORD, "name"),
        ("x" * 101, "member", PASSWORD, "name"),
        ("ben", "root", PASSWORD, "role"),
        ("ben", "member", "short", "password"),
        ("ben", "member", "x" * 1001, "password"),
    ],
)
def test_unusable_accounts_are_refused(store, ann, name, role, password, field):
    with pytest.raises(InputError) as caught:
        store.users.add(name, role, password)
    assert caught.value.field == field
    assert [user.name for user in store.users.list()] == ["ann"]


def test_an_inactive_user_has_no_log_in_session_or_key(store, ann):
    token = store.sessions.start(ann.id)
    _, key = store.api_keys.add(ann.id, "laptop", ["chat"])
    assert store.sessions.user(token) == ann
    assert store.api_keys.user(key) == (ann, {"chat"})
    store.users.set_active(ann.id, False)
    assert store.users.check_password("ann", PASSWORD) is None
    assert store.sessions.user(token) is None
    assert store.api_keys.user(key) is None


def test_a_session_ends_by_log_out_expiry_and_a_new_password(store, ann):
    tokens = [store.sessions.start(ann.id) for _ in range(3)]
    store.sessions.end(tokens[0])
    assert [store.sessions.user(token) for token in tokens] == [None, ann, ann]
    store.users.set_password(ann.id, "a new password")
    assert [store.sessions.user(token) for token in tokens] == [None, None, None]
    assert store.users.check_password("ann", PASSWORD) is None
    assert store.sessions.user(store.sessions.start(ann.id, EXPIRED)) is None
    assert store.sessions.user("") is None


def test_an_invitation_makes_one_account_with_its_role(store):
    code = store.invitations.create("rater")
    user = store.invitations.accept(code, "ben", PASSWORD)
    assert (user.name, user.role) == ("ben", "rater")
    for bad in (code, "", store.invitations.create("admin", lifetime=EXPIRED)):
        with pytest.raises(InputError) as caught:
            store.invitations.accept(bad, "eve", PASSWORD)
        assert caught.value.field == "invitation"
    assert len(store.users.list()) == 1


def test_a_refused_name_leaves_the_invitation_usable(store, ann):
    code = store.invitations.create("member")
    with pytest.raises(InputError):
        store.invitations.accept(code, "ann", PASSWORD)
    assert store.invitations.accept(code, "ben", PASSWORD).name == "ben"


def test_keys_end_by_revocation_and_expiry(store, ann):
    record, key = store.api_keys.add(ann.id, "laptop", ["chat"], timedelta(days=1))
    assert store.api_keys.user(key) == (ann, {"chat"})
    ben = store.users.add("ben", "member", PASSWORD)
    with pytest.raises(NotFound):
        store.api_keys.revoke(ben.id, record.id)
    store.api_keys.revoke(ann.id, record.id)
    assert store.api_keys.user(key) is None
    assert store.api_keys.user(store.api_keys.add(ann.id, "old", [], EXPIRED)[1]) is None
    assert [key.name for key in store.api_keys.list(ann.id)] == ["laptop", "old"]


def test_no_secret_is_stored(store, ann):
    secrets = {
        SESSIONS: store.sessions.start(ann.id),
        API_KEYS: store.api_keys.add(ann.id, "laptop", [])[1],
        INVITATIONS: store.invitations.create("member"),
        USERS: PASSWORD,
    }
    for table, secret in secrets.items():
        assert everything(store, table) != "[]"
        assert secret not in everything(store, table)
    assert not any(secret in str(store.audit.entries()) for secret in secrets.values())


def test_changes_of_accounts_are_in_the_audit_log(store, ann):
    store.users.set_role(ann.id, "admin")
    store.users.rename(ann.id, "anna")
    store.users.set_password(ann.id, "a new password")
    actions = [entry.action for entry in store.audit.entries()]
    assert actions == ["user.password", "user.rename", "user.role", "user.add"]
    assert (store.users.find("anna").role, store.audit.verify() != "") == ("admin", True)


def test_the_owner_is_added_once_and_cannot_log_in(store):
    assert store.users.owner() == store.users.owner()
    assert store.users.owner().role == "admin"
    assert store.users.check_password("owner", "") is None
    assert store.users.check_password("owner", "nobody's password") is None
