"""Routes of the page's API: who may call them, how bodies are read, and the store's errors.

Endpoints are plain functions, which run in a thread. They open and close database sessions without
an `await` between, so that a client that disconnects cannot leave one open.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chatwright.errors import InputError
from chatwright.server.access.route_access import UserPolicy
from chatwright.server.errors import ApiError
from chatwright.server.request_body.request_parser import Strict, parse_request
from chatwright.store.database import StoreBusy
from chatwright.store.errors import Conflict, NotFound
from chatwright.store.store import Store
from chatwright.store.users import User

B = TypeVar("B", bound=Strict)


class StoreRoute(APIRoute):
    """A route whose endpoint may raise the errors of the store."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which turns the store's errors into those of HTTP."""
        handle = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            try:
                return await handle(request)
            except NotFound as error:
                raise ApiError(404, f"there is no such {error.kind}", code="not_found") from None
            except Conflict as error:
                raise ApiError(409, str(error), code=error.code) from None
            except InputError as error:
                param = error.field or None
                raise ApiError(400, str(error), code="invalid_value", param=param) from None
            except RequestValidationError as error:
                param = str(error.errors()[0]["loc"][-1])
                message = f"{param}: {error.errors()[0]['msg']}"
                raise ApiError(400, message, code="invalid_value", param=param) from None
            except StoreBusy:
                message = "the store is busy: try again"
                raise ApiError(503, message, code="store_busy", retry_after=1) from None

        return handle_errors


def add_route(
    app: FastAPI,
    method: str,
    path: str,
    endpoint: Callable[..., Response],
    policy: Any,
) -> None:
    """Add a route with its policy: PUBLIC or `needs_user(...)`."""
    app.router.add_api_route(
        path,
        endpoint,
        methods=[method],
        dependencies=[policy],
        include_in_schema=False,
        route_class_override=StoreRoute,
        response_model=None,
    )


def needs_user(*roles: str) -> Any:
    """Declare a route for users with one of these roles; without any, for all users."""
    return Depends(UserPolicy(*roles))


def body_of(kind: type[B]) -> Any:
    """Declare the body of a request, which is read and checked before the endpoint runs."""

    async def read(request: Request) -> B:
        return parse_request(await request.body(), kind)

    return Depends(read)


def user_of(request: Request) -> User:
    """Return the user whom the route's policy admitted; ApiError (404) without a store."""
    store_of(request)
    user: User = request.state.user
    return user


def store_of(request: Request) -> Store:
    """Return the store; ApiError (404) on a server without one."""
    accounts = request.app.state.accounts
    if accounts is None:
        raise no_store()
    store: Store = accounts.store
    return store


def no_store() -> ApiError:
    """Return the error of a server that keeps nothing."""
    message = "this server has no store: it keeps no conversations"
    return ApiError(404, message, code="no_store")


def json_response(value: Any, status: int = 200) -> JSONResponse:
    """Return a JSON response."""
    return JSONResponse(value, status_code=status)


NO_CONTENT = 204
