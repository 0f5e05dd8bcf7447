"""Where a server listens: other machines need keys, and unusable ports and files are named."""

import json
import re
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme

from chatwright.errors import InputError
from chatwright.server.access.access_keys import KeyFile, KeyRing
from chatwright.server.access.host_names import HostNames
from chatwright.server.address import Address
from chatwright.server.app import make_app
from chatwright.server.errors import ApiError
from chatwright.server.http_server import DrainingServer
from tests.server.fake_assistant import FakeAssistant


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org", "localhost.evil.org"])
def test_an_address_that_other_machines_reach_needs_keys(host: str, keys: KeyFile) -> None:
    with pytest.raises(InputError) as caught:
        Address(host=host)
    assert (caught.value.field, caught.value.value) == ("host", host)
    keys.add("anna")
    assert not Address(host=host, keys=KeyRing(keys)).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert Address(host=host).is_loopback


def test_the_error_for_a_port_in_use_names_it_and_suggests_a_free_port() -> None:
    with Address(port=0).open() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as caught:
            Address(port=port).open()
    assert (caught.value.field, caught.value.value) == ("port", port)
    assert re.search(r"--port \d+", caught.value.remedy)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_not_a_port_is_refused(port: int) -> None:
    with pytest.raises(InputError) as caught:
        Address(port=port).open()
    assert (caught.value.field, caught.value.value) == ("port", port)


def test_an_address_of_another_machine_is_refused(keys: KeyFile) -> None:
    keys.add("anna")
    with pytest.raises(InputError) as caught:
        Address(host="192.0.2.1", port=0, keys=KeyRing(keys)).open()
    assert caught.value.field == "host"


def test_unusable_tls_files_are_refused(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("nothing")
    with pytest.raises(InputError) as caught:
        Address(tls_cert=cert)
    assert caught.value.field == "tls_key"
    with pytest.raises(InputError) as caught:
        Address(tls_cert=cert, tls_key=tmp_path / "missing.pem")
    assert caught.value.field == "tls_cert"
    with pytest.raises(InputError) as caught:
        Address(tls_cert=cert, tls_key=cert)
    assert caught.value.field == "tls_cert"


def accepts(names: HostNames, *hosts: str) -> bool:
    try:
        names.require_known(hosts)
    except ApiError as error:
        if (error.status, error.code) != (421, "host_not_allowed"):
            raise
        return False
    return True


def test_further_names_are_accepted_and_no_others() -> None:
    names = Address(allow_hosts=("host.docker.internal", "Chat.example.org")).host_names
    assert accepts(names, "host.docker.internal:8000")
    assert accepts(names, "CHAT.example.org")
    assert accepts(names, "localhost")
    for host in ("docker.internal", "evil.host.docker.internal", "10.0.0.7", "", "a b", "[::1"):
        assert not accepts(names, host)
    assert not accepts(names)
    assert not accepts(names, "localhost", "localhost")


def test_a_server_of_other_machines_answers_under_any_address_but_under_no_other_name(
    keys: KeyFile,
) -> None:
    keys.add("anna")
    names = Address(host="0.0.0.0", keys=KeyRing(keys)).host_names
    assert accepts(names, "10.0.0.7:8000")
    assert accepts(names, "[2001:db8::1]:8000")
    assert not accepts(names, "evil.example")
    assert not accepts(names, "999.1.1.1")
    assert accepts(Address(host="box.lan", keys=KeyRing(keys)).host_names, "box.lan:80")


@pytest.mark.parametrize("name", ["http://a", "a:80", "", "a/b", "*", "a b"])
def test_a_name_with_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        HostNames([name])
    assert caught.value.field == "allow_host"


def test_https_with_a_certificate_and_a_key(tmp_path: Path, keys: KeyFile) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    secret, _ = keys.add("anna", ["chat"])
    address = Address(port=0, keys=KeyRing(keys), tls_cert=cert, tls_key=key)
    app = make_app(FakeAssistant(), "m", keys=address.keys, host_names=address.host_names)
    server = DrainingServer(app, address)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with address.open() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            url = address.url(listener.getsockname()[1]).replace("127.0.0.1", "localhost")
            assert url.startswith("https://localhost:")
            request = urllib.request.Request(f"{url}/v1/models", headers={"x-api-key": secret})
            with urllib.request.urlopen(request, context=context) as response:
                assert json.load(response)["data"][0]["id"] == "m"
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"{url}/v1/models", context=context)
            assert refused.value.code == 401
            refused.value.close()
            with pytest.raises(urllib.error.URLError):  # the certificate is not known
                urllib.request.urlopen(f"{url}/health", context=ssl.create_default_context())
        finally:
            server.should_exit = True
            thread.join()
