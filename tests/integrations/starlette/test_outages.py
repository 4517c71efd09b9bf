"""A storage that cannot be reached: never an empty session, and an answer for requests that do not need it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from sessionstore import (
    CorruptStateError,
    ReplaceState,
    SessionManager,
    StorageProvider,
    StorageUnavailableError,
    open_storage,
)
from sessionstore.integrations.starlette import SessionMiddleware, install_error_handlers
from sessionstore.testing import Outage
from sessionstore.testing.outage import interruptible
from sessionstore.testing.postgres import Database, PostgresServer
from tests.integrations.starlette.browsing import NAMESPACE, Handler, application, browser, rows, sessions
from tests.support.entrance import Entrance

SECOND = timedelta(seconds=1)


def handled_application(
    storage: StorageProvider, handlers: Mapping[str, Handler] | None = None, **options: Any
) -> Starlette:
    app = application(storage, handlers, **options)
    install_error_handlers(app)
    return app


async def test_an_outage_is_no_empty_session(postgres: Database) -> None:
    async with Entrance(postgres.url) as entrance:
        url = f"postgresql://postgres@127.0.0.1:{entrance.closed_port}/x"
        async with open_storage(url) as storage:
            async with browser(application(storage)) as one:
                one.cookies.set("session", "a" * 32)
                with pytest.raises(StorageUnavailableError):
                    await one.get("/show")
                response = await one.get("/plain")
                assert (response.text, "set-cookie" in response.headers) == ("plain", False)
            async with browser(handled_application(storage)) as one:
                one.cookies.set("session", "a" * 32)
                response = await one.get("/show")
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                assert response.headers["content-type"] == "application/problem+json"
                assert "127.0.0.1" not in response.text


@pytest.mark.parametrize("handled", [False, True])
async def test_a_session_that_cannot_be_stored_is_a_503_and_no_cookie(postgres: Database, handled: bool) -> None:
    async with open_storage(postgres.url) as storage:
        gone = asyncio.Event()

        async def loses(request: Request) -> Response:
            request.session["a"] = "new"
            await storage.close()
            gone.set()
            return Response("stored")

        make = handled_application if handled else application
        async with browser(make(storage, {"loses": loses})) as one:
            await one.get("/set?a=1")
            response = await one.get("/loses")
            assert gone.is_set()
            assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
            assert "set-cookie" not in response.headers
            assert "stored" not in response.text
    async with open_storage(postgres.url) as storage, browser(application(storage)) as other:
        other.cookies = one.cookies
        assert (await other.get("/show")).json() == {"a": "1"}


async def test_a_middleware_between_does_not_hide_that_the_session_was_not_stored(postgres: Database) -> None:
    async def between(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    async with open_storage(postgres.url) as storage:

        async def loses(request: Request) -> Response:
            request.session["a"] = 1
            await storage.close()
            return Response("stored")

        app = Starlette(
            routes=[Route("/loses", loses)],
            middleware=[
                Middleware(SessionMiddleware, storage=storage),
                Middleware(BaseHTTPMiddleware, dispatch=between),
            ],
        )
        async with browser(app) as one:
            response = await one.get("/loses")
            assert (response.status_code, "set-cookie" in response.headers) == (503, False)


async def _too_large(request: Request) -> Response:
    request.session["text"] = "a" * (1 << 21)
    return Response()


async def _not_json(request: Request) -> Response:
    request.session["now"] = timedelta(1)
    return Response()


def _own_answer(request: Request, error: Exception) -> Response:
    return Response(type(error).__name__, 418)


async def test_a_session_that_cannot_be_stored_is_answered_by_the_handlers_of_the_application(
    storage: StorageProvider,
) -> None:
    handlers: dict[str, Handler] = {"large": _too_large, "not": _not_json}
    app = handled_application(storage, handlers)
    async with browser(app) as one:
        for path, status in (("/large", 413), ("/not", 422)):
            response = await one.get(path)
            assert (response.status_code, response.json()["status"]) == (status, status)
            assert "set-cookie" not in response.headers
    own = application(storage, handlers)
    own.add_exception_handler(ValueError, _own_answer)
    async with browser(own) as one:
        assert [(await one.get(path)).text for path in ("/large", "/not")] == [
            "StateTooLargeError",
            "InvalidStateError",
        ]
    last = application(storage, handlers)
    last.add_exception_handler(Exception, _own_answer)
    async with browser(last, raise_app_exceptions=False) as one:
        assert (await one.get("/large")).status_code == 418
    assert await rows(storage) == []


async def test_a_response_that_cannot_be_sent_takes_nothing_back(storage: StorageProvider) -> None:
    app = application(storage)
    scope = {"type": "http", "method": "GET", "path": "/set", "query_string": b"a=1", "headers": []}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("the browser is gone")

    async def receive() -> Message:
        return {"type": "http.request"}

    with pytest.raises(OSError, match="the browser is gone"):
        await app(scope, receive, send)
    assert await rows(storage) == [{"a": "1"}]


async def test_a_lost_answer_loses_no_session_and_no_cookie_is_a_guess(
    storage: StorageProvider,
) -> None:
    outage = Outage()
    app = handled_application(interruptible(storage, outage))
    async with browser(app) as one, browser(app) as other:
        # A change finds out that it landed.
        await one.get("/set?a=1")
        outage.lose_next_answer()
        response = await one.get("/set?b=2")
        assert (response.status_code, "set-cookie" in response.headers) == (200, True)
        assert (await one.get("/show")).json() == {"a": "1", "b": "2"}

        # Of a new session, a new id and a logout it is said that they may have landed. They can be tried again.
        for client, path in ((other, "/set?c=3"), (one, "/login?user=ann"), (one, "/logout")):
            outage.lose_next_answer()
            response = await client.get(path)
            assert (response.status_code, response.json()["type"]) == (503, "urn:sessionstore:update-outcome-unknown")
            assert "set-cookie" not in response.headers
            assert (await client.get(path)).status_code == 200
        assert (await other.get("/show")).json() == {"c": "3"}
        assert (await one.get("/show")).json() == {}


async def test_a_storage_that_does_not_answer_costs_no_more_than_the_timeout(postgres: Database) -> None:
    async with Entrance(postgres.url) as entrance:
        url = f"postgresql://postgres@127.0.0.1:{entrance.silent_port}/x"
        async with open_storage(url) as storage, browser(application(storage, timeout=SECOND / 10)) as one:
            one.cookies.set("session", "a" * 32)
            with pytest.raises(StorageUnavailableError, match=r"within 0.1 s"):
                await one.get("/show")
            assert (await one.get("/plain")).status_code == 200


async def test_a_read_is_answered_if_only_the_expiry_cannot_be_moved(postgres: Database) -> None:
    async with open_storage(postgres.url) as storage:

        async def loses(request: Request) -> Response:
            seen = str(request.session["a"])
            await storage.close()
            return Response(seen)

        async with browser(application(storage, {"loses": loses}, ttl=SECOND * 60)) as one:
            await one.get("/set?a=1")
            await _make_due(postgres)
            response = await one.get("/loses")
            assert (response.text, "set-cookie" in response.headers) == ("1", False)


async def _make_due(database: Database) -> None:
    move = "UPDATE sessionstore.sessions SET expires_at = expires_at - interval '30 seconds'"
    await asyncio.to_thread(PostgresServer(database.url).execute, move)


async def test_a_row_that_holds_no_session_is_an_error_and_stays(storage: StorageProvider) -> None:
    async with browser(application(storage)) as one:
        await one.get("/set?a=1")
        (info,) = (await sessions(storage).list_sessions()).sessions
        anything: SessionManager[list[int]] = SessionManager(lambda _: [], storage, NAMESPACE)
        (await anything.update_session(info.session_id, lambda _: ReplaceState([1]))).unwrap()
        with pytest.raises(CorruptStateError):
            await one.get("/show")
        assert (await one.get("/plain")).status_code == 200
        assert (await anything.get_session(info.session_id)).data == [1]
