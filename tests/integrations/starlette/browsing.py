"""An application with sessions in this process, and browsers that visit it over HTTPS, each with a cookie jar."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sessionstore import SessionManager, StorageProvider
from sessionstore.integrations.starlette import Session, SessionMiddleware

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

NAMESPACE = "starlette"


async def show(request: Request) -> Response:
    """GET /show: the session."""
    return JSONResponse(request.session)


async def put(request: Request) -> Response:
    """GET /set?key=value: sets keys."""
    request.session.update(request.query_params)
    return JSONResponse(request.session)


async def drop(request: Request) -> Response:
    """GET /drop?key: removes keys."""
    for key in request.query_params:
        request.session.pop(key, None)
    return JSONResponse(request.session)


async def plain(request: Request) -> Response:
    """GET /plain: does not use the session."""
    return Response("plain")


async def login(request: Request) -> Response:
    """GET /login?user=name: the session belongs to a user from now on."""
    request.session["user"] = request.query_params["user"]
    Session.of(request).regenerate(owner_id=request.query_params["user"])
    return JSONResponse(request.session)


async def logout(request: Request) -> Response:
    """GET /logout: ends the session."""
    request.session.clear()
    return Response()


HANDLERS: dict[str, Handler] = {
    "show": show,
    "set": put,
    "drop": drop,
    "plain": plain,
    "login": login,
    "logout": logout,
}


def application(storage: StorageProvider, handlers: Mapping[str, Handler] | None = None, **options: Any) -> Starlette:
    """An application with HANDLERS and these, by the first part of the path."""
    routes = [
        Route(f"/{name}", handler, methods=["GET", "POST"])
        for name, handler in {**HANDLERS, **(handlers or {})}.items()
    ]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, storage, **options)])


@asynccontextmanager
async def browser(app: Any, *, raise_app_exceptions: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a cookie jar of its own."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=raise_app_exceptions)
    async with httpx.AsyncClient(transport=transport, base_url="https://test") as client:
        yield client


def sessions(storage: StorageProvider) -> SessionManager[dict[str, Any]]:
    """The sessions of the middleware, as a service sees them without a browser."""
    return SessionManager(lambda _: {}, storage, NAMESPACE)


async def rows(storage: StorageProvider) -> list[dict[str, Any] | None]:
    """The states of all sessions."""
    return [info.state for info in (await sessions(storage).list_sessions(states=True)).sessions]
