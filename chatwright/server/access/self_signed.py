"""A certificate that the server makes for itself: HTTPS without a certificate authority.

No authority vouches for it, so a client compares its SHA-256 fingerprint, which the server prints,
once. The certificate is reused at later starts, and with it the fingerprint. The private key
is in a file of its own that only its owner can read; the certificate may be copied to clients.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

from chatwright.durable_file import sync_directory, sync_open_file
from chatwright.errors import InputError
from chatwright.server.access.access_keys import READABLE_BY_OTHERS

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

CERTIFICATE_FILE = "tls-cert.pem"
KEY_FILE = "tls-key.pem"
LIFETIME = timedelta(days=397)  # some systems refuse a certificate that is valid for longer
RENEWED_BEFORE_END = timedelta(days=30)
CLOCK_DIFFERENCE = timedelta(days=1)
"""Clients whose clock is late by so much accept a new certificate."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
ALL_ADDRESSES = ("0.0.0.0", "::")


@dataclass(frozen=True)
class SelfSigned:
    """A certificate that this server made."""

    certificate: Path
    """PEM file for clients."""
    key: Path
    """PEM file with the private key; only its owner can read it."""
    fingerprint: str
    """SHA-256 of the certificate, as browsers show it: `AB:CD:...`, 32 bytes."""
    end: datetime
    """Until when it is valid."""


def self_signed(
    folder: Path, host: str, names: Iterable[str] = (), now: datetime | None = None
) -> SelfSigned:
    """Return the certificate in a folder; make one if there is none for these names.

    A new one is also made within 30 days of the old one's end, and in place of one whose private
    key other users can read.

    Args:
        folder: Holds tls-cert.pem and tls-key.pem; made if missing.
        host: The address that the server listens on; 0.0.0.0 and :: mean all of this machine.
        names: Further names of the server.
        now: The time; None for the clock's.

    Raises:
        InputError: The package cryptography is missing, or the folder cannot be written.
    """
    if find_spec("cryptography") is None:
        raise InputError(
            "--tls self-signed needs the package cryptography, which is not installed.",
            remedy="Install it: pip install 'chatwright[serve]'.",
            field="tls",
            value="self-signed",
        )
    now = now or datetime.now(UTC)
    wanted = {_plain(name) for name in (*LOOPBACK_NAMES, *_addresses(host), *names)}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / f"{KEY_FILE}.lock", timeout=10):
            found = _usable(folder, wanted, now)
            if found is None:
                _make(folder, wanted, now)
                found = _usable(folder, wanted, now)
    except OSError as error:  # filelock's Timeout is one, too
        raise InputError(
            f"--tls self-signed cannot keep its certificate in {folder} ({error}).",
            remedy="Make the folder writable, or give --keys FILE in one that is.",
            field="tls",
            value=str(folder),
        ) from None
    assert found is not None, "a certificate that was just made is usable"
    return found


def _plain(name: str) -> str:
    """Return a name of a host in the one form that is compared."""
    return name.strip("[]").lower()


def _addresses(host: str) -> list[str]:
    """Return the names by which clients reach a server that listens on `host`."""
    if host not in ALL_ADDRESSES:
        return [host]
    families = {socket.AF_INET} if host == "0.0.0.0" else {socket.AF_INET, socket.AF_INET6}
    found = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        # An address with a zone (fe80::1%eth0) is good on one link only, and not in certificates.
        if address.family in families and "%" not in address.address
    ]
    name = socket.gethostname()
    return [*found, name] if name.isascii() else found


def _usable(folder: Path, wanted: set[str], now: datetime) -> SelfSigned | None:
    """Return the folder's certificate; None if another one is needed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    try:
        if os.name == "posix" and key.stat().st_mode & READABLE_BY_OTHERS:
            return None
        # Refuses a key of another certificate: a crash may have come between the two files.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
        content = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = content.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ssl.SSLError, ValueError, x509.ExtensionNotFound):
        return None
    covered = {str(name.value) for name in names}
    end = content.not_valid_after_utc
    if not wanted <= covered or now > end - RENEWED_BEFORE_END:
        return None
    fingerprint = content.fingerprint(hashes.SHA256()).hex(":").upper()
    return SelfSigned(certificate, key, fingerprint, end)


def _make(folder: Path, names: set[str], now: datetime) -> None:
    """Write a new key and its certificate."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _certificate(key, names, now).public_bytes(serialization.Encoding.PEM)
    _write(folder / KEY_FILE, private, 0o600)
    _write(folder / CERTIFICATE_FILE, certificate, 0o644)
    sync_directory(folder)


def _certificate(
    key: ec.EllipticCurvePrivateKey, names: set[str], now: datetime
) -> x509.Certificate:
    """Return a certificate for these names, which can sign no other one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    public = key.public_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Chatwright")])
    for_servers = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    own_id = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_DIFFERENCE)
        .not_valid_after(now + LIFETIME - CLOCK_DIFFERENCE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(for_servers, critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general_name(name) for name in sorted(names)]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    # With its mode from the first byte: a later chmod would leave a moment to read a private key.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        sync_open_file(file)
    temporary.replace(path)
