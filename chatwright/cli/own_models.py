"""Let users of a server train small models of their own, which the server opens for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chatwright.cli.served_models import ServedModels
from chatwright.server.own_models.own_models import OwnModels
from chatwright.server.replies.pending_reply import Served
from chatwright.server.service import Service
from chatwright.store.store import Store

CACHE_BYTES = 16 * 2**20
"""Largest KV cache of one user's model."""
REPLIES = 2
"""Replies that one user's model generates together."""


@contextmanager
def own_models(
    service: Service,
    models: ServedModels,
    folder: Path | None,
    store: Store | None,
    has_login: bool,
) -> Iterator[None]:
    """Train and serve the models of users until the context ends.

    Args:
        service: The server's.
        models: Opens the models.
        folder: Where they are kept; None trains none.
        store: The store of the users; None trains none.
        has_login: Whether users log in; otherwise every caller is the owner of the store.
    """
    if folder is None or store is None:
        yield
        return
    small = models.with_limits(cache_memory=CACHE_BYTES, max_replies=REPLIES)

    def open_model(run: Path) -> Served:
        opened = small.open_model(run)
        identity = replace(opened.facts.identity, version="")
        return Served(opened.assistant, 1, "your own model", identity)

    owner = "" if has_login else store.users.owner().id
    service.own_models = own = OwnModels(folder, open_model, owner=owner)
    own.keep_only([user.id for user in store.users.list()])
    try:
        yield
    finally:
        own.close()
