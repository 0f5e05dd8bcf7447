"""GET, POST and DELETE /v1/adapters: LoRA adapters beside the served model.

A request chooses an adapter by its name as the model. Adapters share the weights and the batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Request
from pydantic import StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from chatwright.engine.messages import EngineUnavailable
from chatwright.errors import InputError
from chatwright.server.access.route_access import needs
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import Strict, parse_request
from chatwright.server.service import Service

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class AdapterRequest(Strict):
    """The body of POST /v1/adapters."""

    name: Name
    """The name that clients ask for as the model."""
    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """The adapter's directory on the server's machine."""


def add(app: FastAPI, service: Service) -> None:
    """Add the routes."""

    @app.get("/v1/adapters", dependencies=[needs("admin")])
    async def list_adapters() -> Response:
        """List the adapters; `error` says why one is not loaded since the engine's restart."""
        failed = service.failed_adapters
        adapters = [
            {
                "object": "adapter",
                "id": name,
                "weights": served.identity.adapter,
                "state": "failed" if name in failed else "loaded",
                "error": failed.get(name),
            }
            for name, served in service.adapters.items()
        ]
        return JSONResponse({"object": "list", "data": adapters})

    @app.post("/v1/adapters", dependencies=[needs("admin")])
    async def load(http: Request) -> Response:
        """Load an adapter of the served model."""
        request = parse_request(await http.body(), AdapterRequest)
        try:
            served = await run_in_threadpool(service.load_adapter, request.name, Path(request.path))
        except (InputError, EngineUnavailable) as error:
            raise _api_error(error) from None
        body = {"object": "adapter", "id": request.name, "weights": served.identity.adapter}
        return JSONResponse(body)

    @app.delete("/v1/adapters/{name}", dependencies=[needs("admin")])
    async def unload(name: str) -> Response:
        """Unload an adapter that no reply in progress uses."""
        try:
            await run_in_threadpool(service.unload_adapter, name)
        except (InputError, EngineUnavailable) as error:
            raise _api_error(error) from None
        return JSONResponse({"object": "adapter", "id": name, "deleted": True})


def _api_error(error: InputError | EngineUnavailable) -> ApiError:
    if isinstance(error, InputError):
        return ApiError(400, str(error), code="invalid_value", param=error.field)
    message = "the engine is being started again: try again in a few seconds"
    return ApiError(503, message, code="engine_unavailable", retry_after=5)
