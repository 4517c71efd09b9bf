"""Which id a browser gets: a new one for a login, after a logout, and for an id that the server did not give."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from sessionstore import ConfigurationError, StorageProvider
from sessionstore.ids import new_session_id
from sessionstore.integrations.starlette import Session, SessionMiddleware
from tests.integrations.starlette.browsing import application, browser, rows, sessions


def _value(response: httpx.Response) -> str | None:
    """The value that the response gives the cookie; "": it takes the cookie away; None: it says nothing of it."""
    header = response.headers.get("set-cookie")
    return None if header is None else str(header).partition(";")[0].removeprefix("session=")


@pytest.mark.parametrize("planted", [new_session_id(), "x", "a" * 32, "é", "null", "a" * 5000, '"quoted"'])
async def test_an_id_that_the_server_did_not_give_is_never_used(storage: StorageProvider, planted: str) -> None:
    async with browser(application(storage)) as one:
        headers = {b"cookie": b"session=" + planted.encode()}
        assert _value(await one.get("/show", headers=headers)) is None
        given = _value(await one.get("/set?a=1", headers=headers))
        assert given not in (None, "", planted)
        assert (await one.get("/show", headers=headers)).json() == {}
        assert len(await rows(storage)) == 1


async def test_a_login_gives_a_new_id_and_the_old_one_is_worth_nothing(storage: StorageProvider) -> None:
    app = application(storage)
    async with browser(app) as one, browser(app) as attacker:
        planted = _value(await attacker.get("/set?cart=full"))
        assert planted is not None
        one.cookies.set("session", planted)
        given = _value(await one.get("/login?user=ann"))
        assert given not in (None, planted)
        one.cookies.clear()
        one.cookies.set("session", given or "")
        assert (await one.get("/show")).json() == {"cart": "full", "user": "ann"}
        assert (await attacker.get("/show")).json() == {}
        assert await rows(storage) == [{"cart": "full", "user": "ann"}]


async def test_sessions_of_a_user_are_listed_and_deleted_by_owner(storage: StorageProvider) -> None:
    app = application(storage)
    async with browser(app) as one, browser(app) as other, browser(app) as third:
        await one.get("/login?user=ann")
        await other.get("/login?user=ann")
        await third.get("/login?user=bob")
        await one.get("/set?page=2")
        owned = (await sessions(storage).list_sessions(owner_id="ann")).sessions
        assert [info.metadata.owner_id for info in owned] == ["ann", "ann"]
        assert await sessions(storage).delete_sessions(owner_id="ann") == 2
        shown = [(await client.get("/show")).json() for client in (one, other, third)]
        assert shown == [{}, {}, {"user": "bob"}]


async def _keep_owner(request: Request) -> Response:
    Session.of(request).regenerate()
    return Response(str(Session.of(request).owner_id))


async def test_a_new_id_keeps_the_owner(storage: StorageProvider) -> None:
    async with browser(application(storage, {"again": _keep_owner})) as one:
        await one.get("/login?user=ann")
        first = one.cookies["session"]
        assert (await one.get("/again")).text == "ann"
        assert one.cookies["session"] != first
        assert len((await sessions(storage).list_sessions(owner_id="ann")).sessions) == 1


async def test_a_logout_deletes_the_session_and_the_cookie(storage: StorageProvider) -> None:
    async with browser(application(storage)) as one:
        await one.get("/login?user=ann")
        cookie = {"cookie": f"session={one.cookies['session']}"}
        response = await one.get("/logout")
        assert _value(response) == ""
        assert "; Max-Age=0; Expires=Thu, 01 Jan 1970" in response.headers["set-cookie"]
        assert "session" not in one.cookies
        assert await rows(storage) == []
        assert (await one.get("/show", headers=cookie)).json() == {}
        assert _value(await one.get("/logout")) is None


async def _switch(request: Request) -> Response:
    request.session.clear()
    request.session["user"] = "bob"
    return Response()


async def test_keys_set_after_a_clear_go_into_another_session(storage: StorageProvider) -> None:
    async with browser(application(storage, {"switch": _switch})) as one:
        await one.get("/login?user=ann")
        first = one.cookies["session"]
        assert _value(await one.get("/switch")) not in (None, "", first)
        assert await rows(storage) == [{"user": "bob"}]
        (info,) = (await sessions(storage).list_sessions()).sessions
        assert info.metadata.owner_id is None


async def _begin_again(request: Request) -> Response:
    request.session["a"] = 1
    request.session.clear()
    return Response()


async def test_a_session_that_is_cleared_before_it_was_stored_leaves_nothing(storage: StorageProvider) -> None:
    async with browser(application(storage, {"again": _begin_again})) as one:
        assert _value(await one.get("/again")) is None
        assert await rows(storage) == []


@pytest.mark.parametrize(
    "options",
    [
        {"cookie": "a b"},
        {"cookie": ""},
        {"cookie": "a;b"},
        {"cookie": "é"},
        {"path": "/a;b"},
        {"path": "relative"},
        {"domain": "a\nb"},
        {"same_site": "sometimes"},
        {"same_site": "none", "https_only": False},
        {"partitioned": True, "https_only": False},
        {"cookie": "__Secure-s", "https_only": False},
        {"cookie": "__Host-s", "https_only": False},
        {"cookie": "__Host-s", "path": "/app"},
        {"cookie": "__host-s", "domain": "example.org"},
        {"namespace": ""},
    ],
    ids=repr,
)
def test_a_cookie_that_browsers_would_refuse_is_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        SessionMiddleware(lambda *_: None, None, **options)  # type: ignore[arg-type]


async def test_the_attributes_of_the_cookie_are_those_that_were_chosen(storage: StorageProvider) -> None:
    async def attributes(**options: Any) -> list[str]:
        async with browser(application(storage, **options)) as one:
            header = str((await one.get("/set?a=1")).headers["set-cookie"])
            assert (await one.get("/show")).json() == {"a": "1"}
            return [header.partition("=")[0], *header.split("; ")[1:]]

    host = await attributes(cookie="__Host-session", same_site="strict")
    assert host == ["__Host-session", "path=/", "Max-Age=1800", "HttpOnly", "SameSite=Strict", "Secure"]
    embedded = await attributes(same_site="none", partitioned=True)
    assert embedded[-3:] == ["SameSite=None", "Secure", "partitioned"]


async def test_the_session_of_another_middleware_is_named(storage: StorageProvider) -> None:
    async def foreign(request: Request) -> Response:
        request.scope["session"] = {}
        Session.of(request)
        return Response()

    async with browser(application(storage, {"foreign": foreign})) as one:
        with pytest.raises(ConfigurationError, match="install only one"):
            await one.get("/foreign")
