"""The option `--store`, and the store of a server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.server.access.accounts import Accounts
    from chatwright.store.store import Store

StoreAddress = Annotated[
    str,
    typer.Option(
        "--store",
        help="The store: a file, or postgresql://USER@HOST/NAME; for serve also off: conversations "
        "stay in the browser. By default what the variable CHATWRIGHT_STORE names, or store.db in "
        "your data folder.",
    ),
]


OFF = "off"
"""The address of no store."""


def open_store(address: str) -> "Store":
    """Open the store that an option names. Raises InputError."""
    if address == OFF:
        raise InputError(
            "--store off means no store, and this command works on one.",
            remedy="Give a file, ./off for one of that name, or leave the option out.",
            field="store",
            value=address,
        )
    try:
        from chatwright.store.address import store_address
        from chatwright.store.store import Store
    except ModuleNotFoundError as error:
        raise InputError(
            f"The store needs {error.name}, which is not installed.",
            remedy="Install it: pip install 'chatwright[serve]'.",
            field="store",
        ) from None
    return Store(store_address(address))


@contextmanager
def served_store(
    address: str = "",
    has_login: bool = False,
    host: str = "127.0.0.1",
    has_links: bool = True,
) -> Iterator["Accounts | None"]:
    """Yield the users of the store for a server, or None: then nothing is kept.

    On an address that only this machine reaches, the default store is opened, and its owner needs
    no log-in. Elsewhere only `has_login` or an address opens a store. The address `off` opens none.

    Raises InputError if users shall log in and there is no administrator, or no store.
    """
    from chatwright.server.access.accounts import Accounts
    from chatwright.server.address import is_loopback

    if (address == OFF and not has_login) or not (address or has_login or is_loopback(host)):
        yield None
        return
    try:
        store = open_store(address)
    except OSError as error:
        if address or has_login:
            raise
        print(f"note: conversations stay in the browser: {error}", file=sys.stderr)
        yield None
        return
    with store:
        users = store.users.list()
        if has_login and not any(user.role == "admin" and user.is_active for user in users):
            raise InputError(
                "There is no administrator who could log in.",
                remedy="Make one: chatwright users add NAME --role admin.",
                field="accounts",
            )
        store.messages.fail_pending(timedelta(hours=1))
        yield Accounts(store, has_login=has_login, has_links=has_links)
