"""A server with a store and a model that repeats each question, for tests of the page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatwright.server.access.accounts import Accounts
from chatwright.server.http_server import serve_in_thread
from chatwright.server.opening_status import OpeningStatus
from chatwright.server.service import Service
from chatwright.store.store import Store
from tests.web.served_models import EchoAssistant

PASSWORD = "correct horse battery"


@dataclass
class StoreServer:
    """A server with a store, and the model that it serves."""

    address: str
    store: Store
    model: EchoAssistant
    service: Service


@contextmanager
def store_server(folder: Path, has_login: bool = False, **options: Any) -> Iterator[StoreServer]:
    """Yield a server whose store is a new file."""
    status = OpeningStatus("echo")
    status.set_ready()
    with Store(folder / "store.db") as store:
        accounts = Accounts(store, has_login=has_login, **options)
        with serve_in_thread("echo", 0, status=status.status, accounts=accounts) as served:
            service, address = served
            model = EchoAssistant()
            service.publish(model, "echo")
            yield StoreServer(address, store, model, service)


def log_in(page: Any, name: str) -> None:
    """Log in by the form."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
