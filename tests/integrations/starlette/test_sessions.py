"""What a browser's session keeps, shows and costs."""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sessionstore import InvalidStateError, MemoryStorageProvider, StorageProvider
from sessionstore.storage import Document, Key
from sessionstore.testing.clock import ManualClock
from tests.integrations.starlette.browsing import application, browser, rows, sessions

TTL = timedelta(minutes=30)


async def test_a_session_is_kept_and_the_cookie_holds_only_a_random_id(storage: StorageProvider) -> None:
    app = application(storage)
    async with browser(app) as one, browser(app) as other:
        response = await one.get("/set?colour=teal")
        value = one.cookies["session"]
        assert len(value) == 32
        assert "teal" not in value
        attributes = response.headers["set-cookie"].split("; ")
        assert attributes == [f"session={value}", "path=/", "Max-Age=1800", "HttpOnly", "SameSite=Lax", "Secure"]
        assert (await one.get("/show")).json() == {"colour": "teal"}
        assert (await other.get("/show")).json() == {}
        await other.get("/set?colour=red")
        assert other.cookies["session"] != value
        assert (await one.get("/show")).json() == {"colour": "teal"}


async def test_the_table_does_not_hold_the_value_of_the_cookie(storage: StorageProvider) -> None:
    async with browser(application(storage)) as one:
        await one.get("/set?a=1")
        (info,) = (await sessions(storage).list_sessions()).sessions
        assert one.cookies["session"] not in info.session_id
        async with browser(application(storage)) as thief:
            for value in (info.session_id, info.session_id[:32]):
                thief.cookies.set("session", value)
                assert (await thief.get("/show")).json() == {}


class Counting(MemoryStorageProvider):
    """Counts what it is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        self.calls.append("touch" if options.get("touch", True) else "get")
        return await super().get_many(keys, **options)

    async def create_many(self, drafts: Any) -> Any:
        self.calls.append("create")
        return await super().create_many(drafts)

    async def update_many(self, writes: Any) -> Any:
        self.calls.append("update")
        return await super().update_many(writes)

    async def delete_many(self, keys: Any, **options: Any) -> Any:
        self.calls.append("delete")
        return await super().delete_many(keys, **options)


async def test_a_request_asks_the_storage_for_no_more_than_it_needs(clock: ManualClock) -> None:
    storage = Counting(clock=clock)
    async with browser(application(storage)) as one:

        async def calls_of(path: str) -> list[str]:
            storage.calls.clear()
            assert (await one.get(path)).status_code == 200
            return [*storage.calls]

        assert await calls_of("/plain") == []
        assert await calls_of("/show") == []
        assert await calls_of("/set") == []
        assert await calls_of("/set?a=1") == ["create"]
        assert await calls_of("/plain") == ["get"]
        assert await calls_of("/show") == ["get"]
        assert await calls_of("/set?a=1") == ["get"]
        assert await calls_of("/set?a=2&b=3") == ["get", "get", "update"]
        clock.advance(TTL / 5)
        assert await calls_of("/plain") == ["get"]
        assert await calls_of("/show") == ["get", "touch"]
        assert await calls_of("/show") == ["get"]
        assert await calls_of("/logout") == ["get", "delete"]
        one.cookies.set("session", "not one of ours")
        assert await calls_of("/show") == []


async def test_a_request_that_does_not_use_the_session_changes_nothing(
    storage: StorageProvider, clock: ManualClock
) -> None:
    async with browser(application(storage)) as one:
        await one.get("/set?a=1")
        before = (await sessions(storage).list_sessions(states=True)).sessions
        clock.advance(TTL / 2)
        response = await one.get("/plain")
        assert not {"set-cookie", "vary", "cache-control"} & set(response.headers)
        assert (await sessions(storage).list_sessions(states=True)).sessions == before


async def test_a_request_that_uses_the_session_moves_the_expiry_and_renews_the_cookie(
    storage: StorageProvider, clock: ManualClock
) -> None:
    async with browser(application(storage)) as one:
        await one.get("/set?a=1")
        for _ in range(5):
            clock.advance(TTL - timedelta(seconds=1))
            response = await one.get("/show")
            assert response.json() == {"a": "1"}
            assert "; Max-Age=1800;" in response.headers["set-cookie"]
            assert response.headers["vary"] == "Cookie"
            assert response.headers["cache-control"] == 'no-cache="Set-Cookie"'
            again = await one.get("/show")
            assert "set-cookie" not in again.headers
            assert again.headers["vary"] == "Cookie"
        clock.advance(TTL * 1.1)
        assert (await one.get("/show")).json() == {}


async def test_an_absolute_timeout_ends_a_session_however_often_it_is_used(
    storage: StorageProvider, clock: ManualClock
) -> None:
    async with browser(application(storage, max_lifetime=TTL * 2)) as one:
        await one.get("/set?a=1")
        clock.advance(TTL - timedelta(minutes=1))
        assert "; Max-Age=1800;" in (await one.get("/show")).headers["set-cookie"]
        clock.advance(TTL - timedelta(minutes=1))
        assert "; Max-Age=120;" in (await one.get("/set?a=2")).headers["set-cookie"]
        clock.advance(timedelta(minutes=2))
        assert (await one.get("/show")).json() == {}


async def test_sessions_that_never_expire_have_a_cookie_that_lasts_until_the_browser_ends(
    storage: StorageProvider, clock: ManualClock
) -> None:
    async with browser(application(storage, ttl=None)) as one:
        assert "Max-Age" not in (await one.get("/set?a=1")).headers["set-cookie"]
        clock.advance(timedelta(days=400))
        response = await one.get("/show")
        assert (response.json(), "set-cookie" in response.headers) == ({"a": "1"}, False)


async def _nested(request: Request) -> Response:
    if "cart" not in request.session:
        request.session["cart"] = {"items": []}
    else:
        request.session["cart"]["items"].append({"sku": len(request.session["cart"]["items"]), "price": 1.5})
    return JSONResponse(request.session)


async def test_changes_of_nested_values_are_noticed(storage: StorageProvider) -> None:
    async with browser(application(storage, {"nested": _nested})) as one:
        for _ in range(3):
            await one.get("/nested")
        items = [{"sku": 0, "price": 1.5}, {"sku": 1, "price": 1.5}]
        assert (await one.get("/show")).json() == {"cart": {"items": items}}


async def _every_method(request: Request) -> Response:
    session = request.session
    session |= {"a": 1, "b": 2, "c": 3, "d": 4}
    session.setdefault("e", 5)
    del session["a"]
    session.pop("b")
    session.popitem()
    session["c"] = True
    return Response()


async def test_every_method_of_a_dict_changes_the_session(storage: StorageProvider) -> None:
    async with browser(application(storage, {"all": _every_method})) as one:
        await one.get("/set?b=old&z=last")
        await one.get("/all")
        assert await rows(storage) == [{"z": "last", "c": True, "d": 4}]


async def _next_number(request: Request) -> Response:
    seen = request.session.get("n")
    request.session["n"] = 1 if seen is None else 1.0 if type(seen) is int else True
    return Response()


async def test_a_value_of_another_type_is_another_value(storage: StorageProvider) -> None:
    async with browser(application(storage, {"next": _next_number})) as one:
        for expected in ("1", "1.0", "True"):
            await one.get("/next")
            assert [repr(state["n"]) for state in await rows(storage) if state] == [expected]


async def _unstorable(request: Request) -> Response:
    request.session["a"] = "new"
    request.session["user"] = {"born": timedelta(1)}
    return Response()


async def test_a_value_that_cannot_be_stored_is_named_and_nothing_is_written(storage: StorageProvider) -> None:
    app = application(storage, {"bad": _unstorable})
    async with browser(app) as one, browser(app, raise_app_exceptions=False) as other:
        await one.get("/set?a=1")
        with pytest.raises(InvalidStateError) as refused:
            await one.get("/bad")
        assert refused.value.path == "$.user.born"
        response = await other.get("/bad")
        assert (response.status_code, "set-cookie" in response.headers) == (500, False)
        assert await rows(storage) == [{"a": "1"}]


async def _visitors_text(request: Request) -> Response:
    request.session["text"] = "a\0b\ud800"
    request.session["copy"] = copy.deepcopy(request.session)
    return JSONResponse(type(request.session["copy"]) is dict)


class _Level(IntEnum):
    HIGH = 3


class _Colour(StrEnum):
    TEAL = "teal"


async def _as_json(request: Request) -> Response:
    request.session["flashes"] = [("info", "hello")]
    request.session["colours"] = OrderedDict({_Colour.TEAL: _Level.HIGH, 7: None})
    return Response()


async def test_values_are_stored_as_json_writes_them(storage: StorageProvider) -> None:
    async with browser(application(storage, {"json": _as_json})) as one:
        versions = []
        for _ in range(3):
            await one.get("/json")
            assert await rows(storage) == [{"flashes": [["info", "hello"]], "colours": {"teal": 3, "7": None}}]
            versions.append((await sessions(storage).list_sessions()).sessions[0].version)
        assert len(set(versions)) == 1, "the same values were written again"


async def test_text_that_no_storage_keeps_is_refused_or_replaced(storage: StorageProvider) -> None:
    handlers = {"text": _visitors_text}
    async with browser(application(storage, handlers)) as one:
        with pytest.raises(InvalidStateError, match="NUL"):
            await one.get("/text")
    async with browser(application(storage, handlers, unstorable_text="replace")) as one:
        assert (await one.get("/text")).json() is True
        text = "a\ufffdb\ufffd"
        assert (await one.get("/show")).json() == {"text": text, "copy": {"text": text}}


async def test_a_session_that_was_emptied_key_by_key_stays(storage: StorageProvider) -> None:
    async with browser(application(storage)) as one:
        await one.get("/set?a=1")
        value = one.cookies["session"]
        await one.get("/drop?a")
        assert await rows(storage) == [{}]
        await one.get("/set?b=2")
        assert one.cookies["session"] == value
        assert await rows(storage) == [{"b": "2"}]


async def test_the_row_of_a_session_is_named_by_a_digest_of_the_cookie(storage: StorageProvider) -> None:
    seen: list[str | None] = []

    async def who(request: Request) -> Response:
        session_id = getattr(request.session, "session_id", "?")
        seen.append(session_id)
        return Response()

    async with browser(application(storage, {"who": who})) as one:
        await one.get("/who")
        await one.get("/set?a=1")
        await one.get("/who")
        (info,) = (await sessions(storage).list_sessions()).sessions
        assert seen == [None, info.session_id]
        assert len(info.session_id) * 6 // 8 == hashlib.sha256().digest_size
