"""The proxy itself: it keeps no connection of a client that has left."""

from __future__ import annotations

import asyncio
import contextlib
import struct

import pytest
from sqlalchemy.engine import make_url

from .proxy import Proxy

_PATIENCE = 30.0


@pytest.mark.parametrize("said", [b"", struct.pack("!I", 8)[:2], struct.pack("!II", 80, 196608) + b"user"])
async def test_the_connection_of_a_client_that_leaves_before_it_logs_in_is_closed(said: bytes) -> None:
    async with Proxy("postgresql+psycopg:///nowhere?host=/nowhere") as proxy:
        address = make_url(proxy.url)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(_PATIENCE):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
