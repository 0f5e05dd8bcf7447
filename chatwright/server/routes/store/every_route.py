"""Add every route of the page's API. docs/reference/page-api.md describes them."""

from fastapi import FastAPI

from chatwright.server.routes.store import (
    conversations,
    exchange,
    feedback,
    lessons,
    messages,
    rating_queue,
    session,
    shared_links,
)
from chatwright.server.service import Service


def add(app: FastAPI, service: Service) -> None:
    """Add the routes; on a server without a store they answer 404 with the code no_store."""
    session.add(app)
    conversations.add(app)
    messages.add(app, service)
    feedback.add(app)
    rating_queue.add(app)
    shared_links.add(app)
    exchange.add(app)
    lessons.add(app, service)
