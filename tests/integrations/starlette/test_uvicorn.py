"""A service in uvicorn with two processes, and browsers: real HTTP, real WebSockets, real kills."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator

import httpx
import pytest
from websockets.asyncio.client import connect

from sessionstore.testing.postgres import Database, PostgresServer
from tests.integrations.starlette.serving import Server, process_of, serving


@pytest.fixture(scope="module")
def running(server: PostgresServer, template: Database) -> Iterator[Server]:
    with server.fresh_database(template) as database, serving(database.url) as running:
        yield running


async def test_requests_at_once_in_two_processes_lose_nothing(running: Server) -> None:
    async with running.both_processes() as (one, other):
        await one.get("/set?first=0")
        both = (one, other)
        responses = await asyncio.gather(*(both[n % 2].get(f"/set?key{n}={n}") for n in range(40)))
        assert len({response.headers["X-Pid"] for response in responses}) == 2
        expected = {"first": "0"} | {f"key{n}": str(n) for n in range(40)}
        for client in both:
            assert (await client.get("/show")).json() == expected
        assert (await one.get("/sync")).json() == expected | {"thread": True}
    async with running.browser() as another:
        assert (await another.get("/show")).json() == {}


async def test_a_login_and_a_logout_hold_in_both_processes(running: Server) -> None:
    async with running.both_processes() as (one, other):
        await one.get("/set?cart=full")
        planted = one.cookies["session"]
        await one.get("/login")
        current = one.cookies["session"]
        assert current != planted
        assert (await other.get("/show")).json() == {"cart": "full", "user": "ann"}
        await other.get("/logout")
        assert "session" not in one.cookies
        for client in (one, other):
            for value in (planted, current):
                client.cookies.set("session", value)
                assert (await client.get("/show")).json() == {}
                client.cookies.clear()


async def test_a_session_by_id_is_found_in_both_processes(running: Server) -> None:
    async with running.both_processes() as (one, other):
        absent = await one.get("/chats/c1")
        assert (absent.status_code, absent.headers["content-type"]) == (404, "application/problem+json")
        await one.post("/chats/c1")
        assert (await other.get("/chats/c1")).json() == {"turns": 0}


async def test_a_websocket_has_the_session_of_its_browser(running: Server) -> None:
    address = running.address.replace("http", "ws", 1)
    async with running.browser() as one:

        async def shown(cookie: str) -> object:
            return (await one.get("/show", headers={"Cookie": cookie})).json()

        async with connect(f"{address}/talk") as socket:
            assert socket.response is not None
            cookie = socket.response.headers["Set-Cookie"].partition(";")[0]
            await socket.send("hello")
            assert json.loads(await socket.recv()) == {"talks": 1, "said": "hello"}
            assert await shown(cookie) == {"talks": 1}
            await one.get("/set?beside=1", headers={"Cookie": cookie})
            await socket.send("save")
            await socket.recv()
            assert await shown(cookie) == {"talks": 1, "said": "save", "beside": "1"}
        async with connect(f"{address}/talk", additional_headers={"Cookie": cookie}) as socket:
            await socket.send("again")
            assert json.loads(await socket.recv())["talks"] == 2
        # The server stores the rest after it has seen the end of the connection.
        async with asyncio.timeout(20):
            while await shown(cookie) != {"talks": 2, "said": "again", "beside": "1", "left": True}:
                pass


async def test_a_process_that_is_killed_and_a_server_that_is_restarted_take_nothing_along(postgres: Database) -> None:
    acknowledged = {"first": "0"}
    with serving(postgres.url) as running:
        async with running.both_processes() as (doomed, other):
            await doomed.get("/set?first=0")
            pid = await process_of(doomed)
            hanging = asyncio.create_task(doomed.get("/hang"))

            async def go_on(n: int) -> None:
                assert (await other.get(f"/set?key{n}={n}")).status_code == 200
                acknowledged[f"key{n}"] = str(n)

            going = [asyncio.create_task(go_on(n)) for n in range(10)]
            await going[0]
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                await hanging
            await asyncio.gather(*going)
            assert (await other.get("/show")).json() == acknowledged
            assert (await doomed.get("/show")).json() == acknowledged  # a new connection
        cookies = other.cookies
    with serving(postgres.url) as running:
        async with running.browser(cookies) as again:
            assert (await again.get("/show")).json() == acknowledged
