"""`chatwright serve` as a program of its own, and a client that trusts one certificate only."""

import hashlib
import http.client
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RunningProgram:
    """What the program printed when it began to serve."""

    address: str
    fingerprint: str
    """SHA-256 of its own certificate; "" over plain HTTP."""


@contextmanager
def running_program(
    model: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[RunningProgram]:
    """Yield a server of a model directory on a free port; end it by SIGTERM."""
    program = subprocess.Popen(
        [sys.executable, "-m", "chatwright", "serve", str(model), "--port", "0", *options],
        env={**os.environ, "CHATWRIGHT_STORE": "off", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        address = program.stdout.readline().split(" is at ")[-1].split()
        assert address, program.communicate()[1]
        is_tls = address[0].startswith("https:")
        fingerprint = program.stdout.readline().split()[-1] if is_tls else ""
        yield RunningProgram(address[0], fingerprint)
    finally:
        program.terminate()
        _, err = program.communicate(timeout=60)
    assert program.returncode == 0, err


def get_pinned(url: str, fingerprint: str) -> int:
    """Return the status of a URL; raise SSLCertVerificationError for another certificate."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context)
    connection.connect()
    try:
        certificate = connection.sock.getpeercert(binary_form=True)
        if hashlib.sha256(certificate).digest().hex(":").upper() != fingerprint:
            raise ssl.SSLCertVerificationError("the certificate has another fingerprint")
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()
