"""What the operating system was told about silent connections, as it says itself."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import Any

import pytest

from sessionstore import SqlStorageProvider
from sessionstore.testing.postgres import PostgresServer

from .proxy import Proxy
from .ways import migrated, through
from .writers import sessions_of

_DEFAULTS = {"keepalives": 1, "idle": 10, "interval": 5, "count": 3, "user_timeout": 20_000}


def _told(driver: str, connection: Any) -> dict[str, int]:
    number = (
        connection.pgconn.socket if driver == "psycopg" else connection._transport.get_extra_info("socket").fileno()
    )
    with closing(socket.socket(fileno=os.dup(number))) as its:
        return {
            "keepalives": its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            "idle": its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            "interval": its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
            "count": its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            "user_timeout": its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        }


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        ("", {}),
        (
            "keepalives_idle=42&keepalives_interval=7&keepalives_count=9&tcp_user_timeout=30000",
            {"idle": 42, "interval": 7, "count": 9, "user_timeout": 30_000},
        ),
        ("tcp_user_timeout=0", {"user_timeout": 0}),
        ("keepalives_idle=99", {"idle": 99}),
    ],
    ids=["by default", "all changed", "no user timeout", "one changed"],
)
async def test_silent_connections_are_noticed_as_documented(
    server: PostgresServer, driver: str, parameters: str, changed: dict[str, int]
) -> None:
    async with migrated(server) as database, Proxy(database.url) as proxy:
        url = proxy.url + ("&" if "?" in proxy.url else "?") + parameters if parameters else proxy.url
        async with through(url, driver) as storage:
            assert isinstance(storage, SqlStorageProvider)
            await sessions_of(storage).create_session("s")
            (lease,) = storage._gateway.channel.connections._idle
            assert _told(driver, lease.driver) == _DEFAULTS | changed


async def test_keepalives_can_be_turned_off(server: PostgresServer, driver: str) -> None:
    async with migrated(server) as database, Proxy(database.url) as proxy:
        url = proxy.url + ("&" if "?" in proxy.url else "?") + "keepalives=0"
        async with through(url, driver) as storage:
            assert isinstance(storage, SqlStorageProvider)
            await sessions_of(storage).create_session("s")
            (lease,) = storage._gateway.channel.connections._idle
            assert _told(driver, lease.driver)["keepalives"] == 0
