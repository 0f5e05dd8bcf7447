"""`chatwright keys`, and the options of `chatwright serve` that are checked before the model."""

from pathlib import Path

import pytest

from chatwright.cli.keys import parse_duration
from chatwright.errors import InputError
from chatwright.server.access.access_keys import FILE_VARIABLE, KeyFile, KeyRing
from chatwright.server.address import Address
from tests.cli.conftest import Command


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    path = tmp_path / "keys.json"
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return KeyFile(path)


def test_a_key_is_made_listed_and_revoked(file: KeyFile, command: Command) -> None:
    made = command("keys", "add", "anna", "--scope", "chat", "--scope", "metrics")
    text = made.out.strip()
    assert text not in made.err
    found = KeyRing(file).find(text)
    assert found is not None
    assert (found.name, found.scopes, found.expires) == ("anna", ("chat", "metrics"), None)

    listed = command("keys", "list")
    assert found.id in listed.out
    assert text not in listed.text
    assert found.sha256 not in listed.text

    assert command("keys", "revoke", "anna").status == 0
    assert file.read() == []
    again = command("keys", "revoke", "anna").error
    assert isinstance(again, InputError)
    assert again.field == "key"


def test_another_file_can_be_named(file: KeyFile, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    command("keys", "add", "bert", "--expires", "2h", "--keys", other)
    [key] = KeyFile(other).read()
    assert key.expires == key.created + 7200
    assert not file.path.exists()


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("1d", 86_400), ("2w", 1_209_600)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "0d", "-1d", "1y", "1 d", "٣d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert caught.value.field == "expires"


def test_serve_refuses_wrong_addresses_before_it_opens_the_model(
    file: KeyFile, command: Command, tmp_path: Path
) -> None:
    """The directory holds no model, so an error about it would mean that it was opened first."""
    (tmp_path / "empty").mkdir()
    with Address(port=0).open() as taken:
        port = taken.getsockname()[1]
        cases = {
            "port": ["--port", port],
            "host": ["--host", "0.0.0.0"],
            "keys": ["--require-key"],
            "allow_host": ["--port", "0", "--allow-host", "http://a"],
            "tls_key": ["--tls-cert", tmp_path / "cert.pem"],
        }
        for field, options in cases.items():
            error = command("serve", tmp_path / "empty", *options).error
            assert isinstance(error, InputError), field
            assert error.field == field
