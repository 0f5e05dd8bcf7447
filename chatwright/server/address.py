"""Where a server listens: address, port, TLS, and the keys that it asks for."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from chatwright.errors import InputError
from chatwright.server.access.access_keys import KeyRing
from chatwright.server.access.accounts import Accounts
from chatwright.server.access.host_names import HostNames

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8080


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a server listens, and who may use it."""

    host: str = LOOPBACK
    """IP address or name of this machine; 0.0.0.0 for all its addresses."""
    port: int = DEFAULT_PORT
    """0 for any free port."""
    keys: KeyRing | None = None
    """The keys that requests need; None: everyone on this machine may use the server."""
    accounts: Accounts | None = None
    """The users of the store; None keeps no conversations."""
    allow_hosts: tuple[str, ...] = ()
    """Further names under which the server answers."""
    tls_cert: Path | None = None
    """File with the certificate chain (PEM); None for plain HTTP."""
    tls_key: Path | None = None
    """File with the certificate's private key (PEM)."""
    fingerprint: str = ""
    """SHA-256 of a certificate that no authority vouches for, shown to users; "" shows none."""

    def __post_init__(self) -> None:
        """Refuse an address that other machines reach without keys, and wrong TLS files."""
        if not self.is_loopback:
            self._require_access_control()
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError(
                "TLS needs both a certificate and its private key.",
                remedy="Give --tls-cert FILE and --tls-key FILE.",
                field="tls_key" if self.tls_key is None else "tls_cert",
            )
        self._check_certificate()
        _ = self.host_names  # an unusable name is refused now

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    @property
    def host_names(self) -> HostNames:
        """The names under which the server answers."""
        is_name = not self.host.replace(".", "").isdigit() and ":" not in self.host
        own = (self.host,) if is_name else ()
        return HostNames((*own, *self.allow_hosts), any_address=not self.is_loopback)

    def url(self, port: int) -> str:
        """Return the address for a browser on this machine, with the port that was opened."""
        scheme = "http" if self.tls_cert is None else "https"
        host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.host, self.host)
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    def open(self) -> socket.socket:
        """Return a socket that listens; InputError if the address or the port is unusable.

        Open it before anything slow, so that a taken port is reported at once.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        # Without this option a server that just stopped would block its port for minutes.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.host, self.port))
            listener.listen(128)
        except OverflowError:
            listener.close()
            raise InputError(
                f"{self.port} is not a port.",
                remedy="Give a number from 1 to 65535, or 0 for any free port.",
                field="port",
                value=self.port,
            ) from None
        except OSError as error:
            listener.close()
            raise self._cannot_listen(error) from None
        return listener

    def _require_access_control(self) -> None:
        has_login = self.accounts is not None and self.accounts.has_login
        if self.accounts is not None and not has_login:
            raise InputError(
                f"--host {self.host} can be reached from other machines, "
                "and without a log-in everyone there could read the conversations.",
                remedy="Serve with --accounts, or without --store.",
                field="host",
                value=self.host,
            )
        if self.keys is None and not has_login:
            raise InputError(
                f"--host {self.host} can be reached from other machines, "
                "and without keys everyone there could use the model.",
                remedy="Make a key with chatwright keys add NAME, then serve with --require-key; "
                "or make accounts with chatwright users add NAME, then serve with --accounts.",
                field="host",
                value=self.host,
            )

    def _cannot_listen(self, error: OSError) -> InputError:
        try:
            free = _free_port(self.host)
        except OSError:  # not the port, but the address is wrong
            return InputError(
                f"--host {self.host} is not an address of this machine ({error.strerror}).",
                remedy="Give 127.0.0.1 for this machine alone, or 0.0.0.0 for all its addresses.",
                field="host",
                value=self.host,
            )
        return InputError(
            f"Port {self.port} on {self.host} cannot be used ({error.strerror}).",
            remedy=(
                "Stop the program that uses it, or choose another port, "
                f"for example --port {free} (make up PORT={free})."
            ),
            field="port",
            value=self.port,
        )

    def _check_certificate(self) -> None:
        if self.tls_cert is None or self.tls_key is None:
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # A password would be asked for in the terminal; a server cannot answer.
            context.load_cert_chain(self.tls_cert, self.tls_key, password=lambda: "")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InputError(
                f"The TLS files cannot be used: {self.tls_cert}, {self.tls_key} "
                f"({getattr(error, 'strerror', None) or type(error).__name__}).",
                remedy="Give a PEM certificate chain and its private key without a password.",
                field="tls_cert",
                value=str(self.tls_cert),
            ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, which may mean any address
        return False


def _free_port(host: str) -> int:
    """Return a port that is free now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
