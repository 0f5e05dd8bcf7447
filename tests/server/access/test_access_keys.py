"""Keys are stored as hashes in a private file, and a change of the file counts at once."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from chatwright.errors import InputError
from chatwright.server.access import access_keys
from chatwright.server.access.access_keys import KeyFile, KeyRing


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "new" / "keys.json")


def test_the_file_holds_the_hash_and_only_its_owner_can_read_it(keys: KeyFile) -> None:
    text, key = keys.add("anna", ["chat"])
    content = keys.path.read_text()
    assert text not in content
    assert len(text) >= 43  # 256 bits in base64
    assert json.loads(content)["keys"][0]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert keys.read() == [key]
    if os.name == "posix":
        assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_that_others_can_read_is_refused(keys: KeyFile) -> None:
    keys.add("anna")
    keys.path.chmod(0o640)
    with pytest.raises(InputError) as caught:
        keys.read()
    assert (caught.value.field, caught.value.value) == ("keys", str(keys.path))


@pytest.mark.parametrize("content", ["", "[]", '{"keys": [{}]}', '{"keys": [{"id": 1}]}', "{"])
def test_a_damaged_file_is_refused(keys: KeyFile, content: str) -> None:
    keys.add("anna")
    keys.path.write_text(content)
    with pytest.raises(InputError) as caught:
        keys.read()
    assert caught.value.field == "keys"


def test_a_ring_knows_its_keys_and_no_others(keys: KeyFile) -> None:
    first, anna = keys.add("anna")
    second, bert = keys.add("bert", ["admin"])
    ring = KeyRing(keys)
    assert ring.find(first) == anna
    assert ring.find(second) == bert
    for wrong in ("", first[:-1], first + "x", anna.id, anna.sha256, "\udcff"):
        assert ring.find(wrong) is None


def test_a_revoked_key_and_a_new_key_count_at_once(keys: KeyFile) -> None:
    first, _ = keys.add("anna")
    ring = KeyRing(keys)
    second, bert = keys.add("bert")
    assert ring.find(second) == bert
    keys.revoke("anna")
    assert ring.find(first) is None
    keys.revoke(bert.id)
    assert ring.find(second) is None


def test_a_key_ends_at_its_time(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    text, key = keys.add("anna", seconds=60)
    ring = KeyRing(keys)
    assert key.expires is not None
    monkeypatch.setattr(access_keys.time, "time", lambda: key.expires - 0.5)
    assert ring.find(text) == key
    monkeypatch.setattr(access_keys.time, "time", lambda: key.expires)
    assert ring.find(text) is None


def test_a_file_that_becomes_damaged_admits_nobody(keys: KeyFile) -> None:
    text, _ = keys.add("anna")
    ring = KeyRing(keys)
    keys.path.write_text("damaged")
    for _ in range(2):
        with pytest.raises(InputError):
            ring.find(text)


def test_a_server_without_any_valid_key_does_not_start(keys: KeyFile) -> None:
    with pytest.raises(InputError) as caught:
        KeyRing(keys)
    assert caught.value.field == "keys"
    keys.add("anna", seconds=-1)
    with pytest.raises(InputError):
        KeyRing(keys)


@pytest.mark.parametrize(
    ("name", "scopes", "field"),
    [("", ["chat"], "name"), ("a\nb", ["chat"], "name"), ("anna", ["all"], "scope")],
)
def test_wrong_names_and_scopes_are_refused(
    keys: KeyFile, name: str, scopes: list[str], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        keys.add(name, scopes)
    assert caught.value.field == field
    assert not keys.path.exists()


def test_a_name_is_used_once(keys: KeyFile) -> None:
    _, key = keys.add("anna")
    for name in ("anna", key.id):
        with pytest.raises(InputError) as caught:
            keys.add(name)
        assert caught.value.field == "name"
    with pytest.raises(InputError) as caught:
        keys.revoke("bert")
    assert caught.value.value == "bert"
