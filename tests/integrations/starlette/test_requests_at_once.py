"""Requests of one browser at once, and what a response may still change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from sessionstore import StorageProvider
from sessionstore.integrations.starlette import Session
from sessionstore.testing.clock import ManualClock
from tests.integrations.starlette.browsing import Handler, application, browser, rows


class Slow:
    """A handler that does something, then waits until it may answer."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.entered, self.answer = asyncio.Event(), asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        response = await self._handler(request)
        self.entered.set()
        await self.answer.wait()
        return response


async def _set(request: Request) -> Response:
    request.session.update(request.query_params)
    return JSONResponse(request.session)


async def _drop(request: Request) -> Response:
    for key in request.query_params:
        request.session.pop(key)
    return JSONResponse(request.session)


async def _begun(client: httpx.AsyncClient, path: str, slow: Slow) -> asyncio.Task[httpx.Response]:
    """A request that waits in its handler. It carries the cookies of now."""
    request = client.build_request("GET", path)
    task = asyncio.create_task(client.send(request))
    await slow.entered.wait()
    return task


async def test_requests_at_once_that_set_different_keys_lose_nothing(storage: StorageProvider) -> None:
    everybody = asyncio.Barrier(8)

    async def together(request: Request) -> Response:
        request.session.update(request.query_params)
        await everybody.wait()
        return Response()

    async with browser(application(storage, {"together": together})) as one:
        await one.get("/set?first=0")
        await asyncio.gather(*(one.get(f"/together?key{n}={n}") for n in range(8)))
        assert await rows(storage) == [{"first": "0"} | {f"key{n}": str(n) for n in range(8)}]


async def test_a_removed_key_stays_removed_and_of_one_key_the_last_value_stays(storage: StorageProvider) -> None:
    slow = Slow(_set)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/set?a=1&b=1&c=1")
        waiting = await _begun(one, "/slow?b=slow&d=slow", slow)
        await one.get("/drop?a")
        await one.get("/set?b=quick&c=quick")
        slow.answer.set()
        await waiting
        assert await rows(storage) == [{"b": "slow", "c": "quick", "d": "slow"}]


async def test_a_removal_keeps_the_keys_that_other_requests_set(storage: StorageProvider) -> None:
    slow = Slow(_drop)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/set?a=1")
        waiting = await _begun(one, "/slow?a", slow)
        await one.get("/set?b=2")
        slow.answer.set()
        await waiting
        assert await rows(storage) == [{"b": "2"}]


async def test_a_session_that_ended_beside_a_slow_request_does_not_come_back(
    storage: StorageProvider, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(_set)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/login?user=ann")
        waiting = await _begun(one, "/slow?cart=full", slow)
        await one.get("/logout")
        with caplog.at_level(logging.INFO, "sessionstore"):
            slow.answer.set()
            response = await waiting
        assert (response.status_code, "set-cookie" in response.headers) == (200, False)
        assert await rows(storage) == []
        assert "a session ended beside a request, whose changes are dropped" in caplog.text


@pytest.mark.parametrize("path", ["/slow", "/slow?page=2"], ids=["reads", "writes"])
async def test_a_late_response_does_not_take_the_cookie_of_a_login_away(
    storage: StorageProvider, clock: ManualClock, path: str
) -> None:
    slow = Slow(_set)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/set?cart=full")
        clock.advance(timedelta(minutes=15))  # so that a read renews the cookie
        waiting = await _begun(one, path, slow)
        await one.get("/login?user=ann")
        slow.answer.set()
        assert "set-cookie" not in (await waiting).headers
        assert (await one.get("/show")).json() == {"cart": "full", "user": "ann"}


async def test_a_session_with_a_new_id_has_the_keys_that_concurrent_requests_set(storage: StorageProvider) -> None:
    async def login(request: Request) -> Response:
        request.session["user"] = "ann"
        Session.of(request).regenerate(owner_id="ann")
        return Response()

    slow = Slow(login)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/set?a=1")
        waiting = await _begun(one, "/slow", slow)
        await one.get("/set?b=2")
        await one.get("/drop?a")
        slow.answer.set()
        await waiting
        assert await rows(storage) == [{"b": "2", "user": "ann"}]


async def test_a_new_id_does_not_bring_an_ended_session_back(storage: StorageProvider) -> None:
    async def renew(request: Request) -> Response:
        Session.of(request).regenerate()
        return Response()

    slow = Slow(renew)
    async with browser(application(storage, {"slow": slow.__call__})) as one:
        await one.get("/login?user=ann")
        waiting = await _begun(one, "/slow", slow)
        await one.get("/logout")
        slow.answer.set()
        assert "set-cookie" not in (await waiting).headers
        assert await rows(storage) == []


async def _stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield "one "
        request.session["streamed"] = True
        yield "two"

    request.session["asked"] = True
    return StreamingResponse(parts(), background=BackgroundTask(request.session.update, told=True))


async def test_changes_during_the_response_are_stored_too(storage: StorageProvider) -> None:
    async with browser(application(storage, {"stream": _stream})) as one:
        await one.get("/set?a=1")
        assert (await one.get("/stream")).text == "one two"
        assert await rows(storage) == [{"a": "1", "asked": True, "streamed": True, "told": True}]


async def _late(request: Request) -> Response:
    def begin() -> None:
        request.session["late"] = True
        with pytest.raises(RuntimeError, match="response has begun"):
            Session.of(request).regenerate()

    return Response(background=BackgroundTask(begin))


async def test_a_session_that_begins_after_the_response_is_not_stored_and_logged(
    storage: StorageProvider, caplog: pytest.LogCaptureFixture
) -> None:
    async with browser(application(storage, {"late": _late})) as one:
        assert (await one.get("/late")).status_code == 200
        assert await rows(storage) == []
        assert "a session was begun after the response, and is not stored" in caplog.text


async def _early(request: Request) -> Response:
    request.session["a"] = 1
    await Session.of(request).save()
    await Session.of(request).save()
    return JSONResponse(len(await rows(request.app.state.storage)))


async def test_changes_may_be_stored_before_the_response(storage: StorageProvider) -> None:
    app = application(storage, {"early": _early})
    app.state.storage = storage
    async with browser(app) as one:
        assert (await one.get("/early")).json() == 1
        assert (await one.get("/show")).json() == {"a": 1}


async def test_a_request_that_goes_on_for_long_keeps_its_session_if_it_saves(
    storage: StorageProvider, clock: ManualClock
) -> None:
    async def long(request: Request) -> Response:
        for _ in range(4):
            clock.advance(timedelta(minutes=29))
            await Session.of(request).save()
        return JSONResponse(request.session)

    async with browser(application(storage, {"long": long})) as one:
        await one.get("/set?a=1")
        response = await one.get("/long")
        assert (response.json(), "; Max-Age=1800;" in response.headers["set-cookie"]) == ({"a": "1"}, True)
        assert (await one.get("/show")).json() == {"a": "1"}


async def _breaks(request: Request) -> Response:
    request.session["a"] = 2
    raise LookupError("a fault of the handler")


async def _refuses(request: Request) -> Response:
    request.session["tries"] = 1
    raise HTTPException(403)


async def _breaks_off(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield "one "
        request.session["late"] = True
        raise LookupError("a fault of the stream")

    request.session["early"] = True
    return StreamingResponse(parts())


async def test_a_handler_that_fails_stores_nothing_and_one_that_refuses_does(storage: StorageProvider) -> None:
    handlers: dict[str, Handler] = {"breaks": _breaks, "refuses": _refuses, "off": _breaks_off}
    async with browser(application(storage, handlers)) as one:
        await one.get("/set?a=1")
        with pytest.raises(LookupError, match="handler"):
            await one.get("/breaks")
        assert await rows(storage) == [{"a": "1"}]
        assert (await one.get("/refuses")).status_code == 403
        with pytest.raises(LookupError, match="stream"):
            await one.get("/off")
        assert await rows(storage) == [{"a": "1", "tries": 1, "early": True}]
