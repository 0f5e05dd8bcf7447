"""The option `--store` of the commands that read or change the store."""

from typing import TYPE_CHECKING, Annotated

import typer

from chatwright.errors import InputError

if TYPE_CHECKING:
    from chatwright.store.store import Store

StoreAddress = Annotated[
    str,
    typer.Option(
        "--store",
        help="The store: a file, or postgresql://USER@HOST/NAME. By default what the variable "
        "CHATWRIGHT_STORE names, or store.db in your data folder.",
    ),
]


def open_store(address: str) -> "Store":
    """Open the store that an option names. Raises InputError."""
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
