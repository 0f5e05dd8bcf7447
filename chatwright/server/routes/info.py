"""What is served: the list of models, the version of everything, and checks for supervisors.

`/livez` says whether the process works, `/readyz` whether it would accept a reply now. `/health` is
`/readyz` without a look at the queue, for scripts that wait for a build.
"""

from __future__ import annotations

import logging
import platform
from typing import Any

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from chatwright import __version__
from chatwright.checkpoint import registry
from chatwright.errors import InputError
from chatwright.server.access.route_access import PUBLIC, needs
from chatwright.server.model_identity import ModelIdentity
from chatwright.server.service import Service, unknown_model

log = logging.getLogger("chatwright.server")


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    _add_checks(app, service)

    @app.get("/v1/models", dependencies=[needs("chat", "embeddings")])
    def models() -> Response:
        """List the served models."""
        return JSONResponse({"object": "list", "data": model_cards(service)})

    @app.get("/v1/models/{name:path}", dependencies=[needs("chat", "embeddings")])
    def model(name: str) -> Response:
        """Return one served model."""
        for card in model_cards(service):
            if card["id"] == name:
                return JSONResponse(card)
        raise unknown_model(name)

    @app.get("/version", dependencies=[needs("chat", "embeddings")])
    def version() -> Response:
        """Return the version of the program and of the model, and what is promised."""
        return JSONResponse(version_report(service))


def _add_checks(app: FastAPI, service: Service) -> None:
    """Add the routes for scripts and supervisors."""

    @app.get("/health", dependencies=[PUBLIC])
    async def health() -> Response:
        """Answer 200 if a model is served, otherwise 503, for scripts that wait.

        The status is `degraded` while an adapter is not loaded since the engine's restart.
        """
        if not service.is_ready:
            return _check(False, "building")
        return _check(True, "degraded" if service.failed_adapters else "ok")

    @app.get("/livez", dependencies=[PUBLIC])
    async def livez() -> Response:
        """Answer 200 if the thread that samples replies runs; 503 calls for a restart."""
        is_alive = service.engine.is_alive
        return _check(is_alive, "ok" if is_alive else "dead")

    @app.get("/readyz", dependencies=[PUBLIC])
    async def readyz() -> Response:
        """Answer 200 if a reply would be accepted now, otherwise 503."""
        engine = service.engine
        if not service.is_ready or not engine.is_alive:
            return _check(False, "building" if engine.is_alive else "dead")
        if engine.is_draining:
            return _check(False, "stopping")
        return _check(engine.has_room, "ok" if engine.has_room else "full")


def _check(is_ok: bool, status: str) -> Response:
    return JSONResponse({"status": status}, status_code=200 if is_ok else 503)


def model_cards(service: Service) -> list[dict[str, Any]]:
    """Return the served models in the shape of OpenAI's list of models."""
    cards = []
    if served := service.engine.served:
        length = served.assistant.context_length
        cards.append(_model_card(service.model_name, "generate", length, served.identity))
        for name, adapted in service.adapters.items():
            card = _model_card(name, "generate", length, adapted.identity)
            cards.append({**card, "parent": service.model_name})
    if embeddings := service.embeddings:
        length = embeddings.embedder.max_length
        cards.append(_model_card(embeddings.name, "embed", length, embeddings.identity))
    return cards


def _model_card(name: str, task: str, length: int, identity: ModelIdentity) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": identity.created,
        "owned_by": "you",
        "chatwright": {
            "task": task,
            "weights": identity.weights or None,
            "adapter": identity.adapter or None,
            "version": identity.version or None,
            "versions": _versions(identity),
            "context_length": length,
            "sampling": identity.sampling,
        },
    }


def _versions(identity: ModelIdentity) -> list[dict[str, Any]]:
    """Return the versions in the registry, oldest first."""
    if identity.registry is None:
        return []
    try:
        found = registry.read(identity.registry)
    except (InputError, OSError):
        log.warning("the registry of the served model cannot be read: chatwright models list DIR")
        return []
    return [
        {
            "name": version.name,
            "id": version.id,
            "weights": version.weights,
            "method": version.method or None,
            "state": found.state(version),
        }
        for version in found.versions
    ]


def version_report(service: Service) -> dict[str, Any]:
    """Return the body of GET /version."""
    served = service.engine.served
    identity = ModelIdentity() if served is None else served.identity
    model = None
    if served is not None:
        model = {
            "id": service.model_name,
            "weights": identity.weights or None,
            "version": identity.version or None,
            "number": served.number,
            "description": served.description,
        }
    reason = identity.batch_dependence_reason
    return {
        "product": "chatwright",
        "version": __version__,
        "build": {
            "source": None,
            "torch": None,
            **identity.build,
            "python": platform.python_version(),
        },
        "model": model,
        "takes_feedback": service.feedback is not None,
        "promise": {
            "batch_invariant": None if reason is None else not reason,
            "reason": reason or "",
        },
    }
