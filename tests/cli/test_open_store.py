"""Which store a server opens: by default on loopback only, elsewhere with a log-in only."""

import pytest

from chatwright.cli.open_store import served_store
from chatwright.conversation import Message
from chatwright.errors import InputError
from chatwright.server.access.access_keys import KeyFile, KeyRing
from chatwright.server.address import Address
from chatwright.store.address import store_address
from chatwright.store.messages import Origin
from chatwright.store.store import Store

OTHER = "0.0.0.0"


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATWRIGHT_STORE", str(tmp_path / "store.db"))
    return tmp_path / "store.db"


def test_on_loopback_the_default_store_is_opened_without_a_log_in(path):
    with served_store() as accounts:
        assert accounts is not None
        assert not accounts.has_login
        assert accounts.store.users.owner().role == "admin"
        Address(accounts=accounts)
    assert path.exists()


def test_on_another_address_nothing_is_opened_without_a_log_in(path, tmp_path):
    with served_store(host=OTHER) as accounts:
        assert accounts is None
    assert not path.exists()
    file = KeyFile(tmp_path / "keys.json")
    file.add("ann", ["chat"])
    keys = KeyRing(file)
    with served_store(str(path), host=OTHER) as accounts, pytest.raises(InputError) as caught:
        Address(host=OTHER, keys=keys, accounts=accounts)
    assert caught.value.field == "host"


def test_a_log_in_needs_an_administrator_and_then_no_keys(path):
    with pytest.raises(InputError) as caught, served_store(has_login=True, host=OTHER):
        pass
    assert caught.value.field == "accounts"
    with Store(path) as store:
        store.users.add("ann", "admin", "correct horse")
    with served_store(has_login=True, host=OTHER) as accounts:
        assert Address(host=OTHER, accounts=accounts).accounts is accounts


def test_a_folder_that_cannot_be_written_leaves_conversations_in_the_browser(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.delenv("CHATWRIGHT_STORE")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file"))
    monkeypatch.setattr("sys.platform", "linux")
    with served_store() as accounts:
        assert accounts is None
    assert capsys.readouterr().err


def test_the_default_store_is_in_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("CHATWRIGHT_STORE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store_address() == str(tmp_path / "data" / "chatwright" / "store.db")
    assert (tmp_path / "data" / "chatwright").is_dir()
    assert store_address("other.db") == "other.db"


def test_a_server_leaves_young_pending_answers_of_another_one(path):
    with Store(path) as store:
        user = store.users.owner().id
        conversation = store.conversations.create(user).id
        store.messages.add(user, conversation, None, Message("user", "hi"), answer_by=Origin())
        with served_store():
            assert store.messages.tree(user, conversation)[1].state == "pending"


def test_off_opens_no_store_and_leaves_no_file_of_that_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served_store("off") as accounts:
        assert accounts is None
    with pytest.raises(InputError) as caught, served_store("off", has_login=True):
        pass
    assert (caught.value.field, caught.value.value) == ("store", "off")
    assert not list(tmp_path.iterdir())
