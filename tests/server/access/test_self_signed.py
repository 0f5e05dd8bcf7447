"""The server's own certificate: private, reused, renewed, and the one that clients meet."""

import hashlib
import os
import ssl
import stat
import threading
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from chatwright.checkpoint import model_directory
from chatwright.cli.options import server_address
from chatwright.errors import InputError
from chatwright.server.access.access_keys import FILE_VARIABLE
from chatwright.server.access.self_signed import RENEWED_BEFORE_END, SelfSigned, self_signed
from chatwright.server.app import make_app
from chatwright.server.http_server import DrainingServer
from tests.server.fake_assistant import FakeAssistant
from tests.server.served_program import get_pinned, running_program
from tests.server.small_model import TOKENIZER, small_model


def test_the_key_is_private_and_the_fingerprint_is_that_of_the_certificate(tmp_path: Path) -> None:
    made = self_signed(tmp_path / "new", "127.0.0.1")
    der = ssl.PEM_cert_to_DER_cert(made.certificate.read_text())
    assert made.fingerprint == hashlib.sha256(der).digest().hex(":").upper()
    assert b"PRIVATE" not in made.certificate.read_bytes()
    if os.name == "posix":
        assert stat.S_IMODE(made.key.stat().st_mode) == 0o600


def test_it_is_reused_until_near_its_end(tmp_path: Path) -> None:
    first = self_signed(tmp_path, "10.0.0.7", ["chat.lan"])
    assert self_signed(tmp_path, "10.0.0.7") == first
    last_day = first.end - RENEWED_BEFORE_END
    assert self_signed(tmp_path, "10.0.0.7", now=last_day) == first
    renewed = self_signed(tmp_path, "10.0.0.7", now=last_day + timedelta(seconds=1))
    assert renewed.fingerprint != first.fingerprint
    assert renewed.end > first.end + timedelta(days=300)


def test_another_address_or_name_needs_another_one(tmp_path: Path) -> None:
    fingerprints = {
        self_signed(tmp_path, host, names).fingerprint
        for host, names in (("10.0.0.7", []), ("10.0.0.8", []), ("10.0.0.8", ["chat.lan"]))
    }
    assert len(fingerprints) == 3


def _take_the_key_of_another(made: SelfSigned, tmp_path: Path) -> None:
    made.key.write_bytes(self_signed(tmp_path / "another", "127.0.0.1").key.read_bytes())


def _open_the_key(made: SelfSigned, tmp_path: Path) -> None:
    made.key.chmod(0o640)


def _cut_the_certificate(made: SelfSigned, tmp_path: Path) -> None:
    made.certificate.write_bytes(made.certificate.read_bytes()[:300])


@pytest.mark.parametrize("damage", [_take_the_key_of_another, _open_the_key, _cut_the_certificate])
def test_a_damaged_pair_and_an_open_key_are_replaced(tmp_path: Path, damage) -> None:
    if damage is _open_the_key and os.name != "posix":
        pytest.skip("file modes are POSIX's")
    first = self_signed(tmp_path, "127.0.0.1")
    damage(first, tmp_path)
    second = self_signed(tmp_path, "127.0.0.1")
    assert second.fingerprint != first.fingerprint
    assert self_signed(tmp_path, "127.0.0.1") == second


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        self_signed(tmp_path / "file", "127.0.0.1")
    assert (caught.value.field, caught.value.value) == ("tls", str(tmp_path / "file"))


def test_a_client_that_trusts_the_certificate_checks_names_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "keys.json"))
    address = server_address("127.0.0.1", 0, False, None, None, None, None, tls="self-signed")
    app = make_app(FakeAssistant(), "m", host_names=address.host_names)
    server = DrainingServer(app, address)
    context = ssl.create_default_context(cafile=tmp_path / "tls-cert.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of later Pythons
    with address.open() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            url = f"{address.url(listener.getsockname()[1])}/health"
            for name in ("127.0.0.1", "localhost"):
                with urllib.request.urlopen(
                    url.replace("127.0.0.1", name), context=context
                ) as response:
                    assert response.status == 200
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize(
    ("tls", "cert"), [("letsencrypt", None), ("self-signed", Path("chain.pem"))]
)
def test_another_value_and_a_second_certificate_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: str, cert: Path | None
) -> None:
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "keys.json"))
    if cert is not None:
        made = self_signed(tmp_path / "given", "127.0.0.1")
        files = (made.certificate, made.key)
    else:
        files = (None, None)
    with pytest.raises(InputError) as caught:
        server_address("127.0.0.1", 0, False, None, None, *files, tls=tls)
    assert (caught.value.field, caught.value.value) == ("tls", tls)
    assert not (tmp_path / "tls-key.pem").exists()


@pytest.mark.ci
def test_a_client_that_compares_the_printed_fingerprint_notices_a_changed_certificate(
    tmp_path: Path,
) -> None:
    model = tmp_path / "m"
    model_directory.save(model, small_model(), TOKENIZER)
    environment = {FILE_VARIABLE: str(tmp_path / "keys.json")}
    with running_program(model, "--tls", "self-signed", environment=environment) as first:
        assert get_pinned(f"{first.address}/health", first.fingerprint) == 200
    (tmp_path / "tls-key.pem").unlink()
    with running_program(model, "--tls", "self-signed", environment=environment) as second:
        with pytest.raises(ssl.SSLCertVerificationError):
            get_pinned(f"{second.address}/health", first.fingerprint)
        assert get_pinned(f"{second.address}/health", second.fingerprint) == 200
