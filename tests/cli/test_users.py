"""`chatwright users`, `chatwright store` and `chatwright forget`."""

import io

import pytest

from chatwright.errors import InputError
from chatwright.store.store import Store
from tests.cli.conftest import Command


@pytest.fixture
def run(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("CHATWRIGHT_STORE", str(tmp_path / "store.db"))

    def run(*arguments, typed=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return command(*arguments)

    return run


def test_an_administrator_is_made_and_listed(run, tmp_path) -> None:
    assert run("users", "add", "ann", "--role", "admin", typed="correct horse\n").status == 0
    listed = run("users", "list").out
    with Store(tmp_path / "store.db") as store:
        user = store.users.check_password("ann", "correct horse")
    assert user is not None
    assert {"ann", "admin", user.id} <= set(listed.split())
    assert run("users", "rename", "ann", "anna").status == 0
    assert run("users", "role", "anna", "rater").status == 0
    assert run("users", "disable", "anna").status == 0
    assert "disabled" in run("users", "list").out
    assert run("users", "enable", "anna").status == 0
    assert run("users", "password", "anna", typed="another horse\n").status == 0
    with Store(tmp_path / "store.db") as store:
        changed = store.users.check_password("anna", "another horse")
    assert changed is not None
    assert (changed.id, changed.role) == (user.id, "rater")
    assert len(run("store", "check").out.strip()) == 64
    assert "user.rename" in run("store", "log").out


def test_an_invitation_is_printed_and_works(run, tmp_path) -> None:
    code = run("users", "invite", "--role", "rater").out.strip()
    with Store(tmp_path / "store.db") as store:
        assert store.invitations.accept(code, "ben", "correct horse").role == "rater"


def test_a_key_is_shown_once_works_and_is_revoked(run, tmp_path) -> None:
    run("users", "add", "ann", typed="correct horse\n")
    secret = run("users", "key", "add", "ann", "laptop", "--expires", "90d").out.strip()
    with Store(tmp_path / "store.db") as store:
        user, scopes = store.api_keys.user(secret)
        assert (user.name, scopes) == ("ann", {"chat"})
        [key] = store.api_keys.list(user.id)
    listed = run("users", "key", "list", "ann").out
    assert {key.id, "laptop", "chat"} <= set(listed.split())
    assert secret not in listed
    assert run("users", "key", "revoke", "ann", key.id).status == 0
    assert "revoked" in run("users", "key", "list", "ann").out
    with Store(tmp_path / "store.db") as store:
        assert store.api_keys.user(secret) is None
    errors = [
        run("users", "key", "add", "ann", "x", "--scope", "everything").error,
        run("users", "key", "add", "nobody", "x").error,
        run("users", "key", "revoke", "ann", "k-none").error,
    ]
    assert [error.field for error in errors] == ["scope", "name", "key"]


def test_wrong_input_is_named(run) -> None:
    errors = [
        run("users", "add", "ann", typed="short\n").error,
        run("users", "role", "nobody", "admin").error,
        run("forget", "nobody").error,
        run("users", "list", "--store", "missing/folder/s.db").error,
    ]
    assert all(isinstance(error, InputError) for error in errors)
    assert [error.field for error in errors] == ["password", "name", "name", "store"]


def test_a_store_is_copied_and_a_user_forgotten(run, tmp_path) -> None:
    run("users", "add", "ann", typed="correct horse\n")
    copy = tmp_path / "copy.db"
    assert str(copy) in run("store", "backup", copy).out
    forgotten = run("forget", "ann", "--models", tmp_path)
    assert str(copy) in forgotten.out
    assert "ann" not in run("users", "list").out
    assert "ann" in run("users", "list", "--store", copy).out
