"""The names under which a server answers: the Host headers that it accepts.

With DNS rebinding, a page of another site reaches this machine under the site's own name. Its
requests show that name in the Host header. So a server on loopback answers under loopback names. A
server on another address answers under any IP address, too, because an address cannot be rebound.
`chatwright serve --allow-host NAME` adds a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from chatwright.errors import InputError
from chatwright.server.errors import ApiError

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
# Any port is allowed: a tunnel (ssh -L) changes it, and DNS rebinding shows in the name.
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.ASCII)


class HostNames:
    """The names under which a server answers."""

    def __init__(self, names: Iterable[str] = (), any_address: bool = False) -> None:
        """Accept loopback names and these.

        Args:
            names: Further names, without a port.
            any_address: Whether every IP address is accepted.

        Raises:
            InputError: A name is not the name of a host.
        """
        self.names = LOOPBACK_NAMES | {_checked(name) for name in names}
        self.any_address = any_address

    def require_known(self, hosts: Sequence[str]) -> None:
        """Raise ApiError (421) unless a request has one Host header, with one of the names."""
        found = HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if found and (found[1] in self.names or (self.any_address and _is_address(found[1]))):
            return
        message = (
            "this server does not answer under this name: use 127.0.0.1 or localhost, "
            "or start it with --allow-host NAME"
        )
        raise ApiError(421, message, code="host_not_allowed")


def _checked(name: str) -> str:
    if not NAME.fullmatch(name.lower()):
        raise InputError(
            f"--allow-host {name!a} is not the name of a host.",
            remedy="Write the name alone, without http:// and without a port.",
            field="allow_host",
            value=name,
        )
    return name.lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
