"""Finds out the code with which a PostgreSQL server refused a connection, because psycopg's error lacks the code.

libpq keeps the code of an error for connections only. While it connects, it can write a log of the server's messages
(PQtrace), and the log has the code. So a refused connection is tried once more with such a log.
"""

from __future__ import annotations

import asyncio
import os
import re
from importlib import import_module
from typing import Any, Final

from ..faults import MOMENTARY, code_of, driver_error

_SECONDS: Final = 2.0
"""How many seconds the second attempt may take."""
_CODE: Final = re.compile(rb'\tErrorResponse\t.*? C "([0-9A-Z]{5})"')


async def note_code(error: BaseException) -> None:
    """Adds the code to psycopg's error of a refused connection, if the error has no code."""
    refused: Any = driver_error(error)
    if isinstance(refused, import_module("psycopg").OperationalError) and code_of(refused) is None:
        refused.sqlstate = await _code_of_refusal(refused)


async def _code_of_refusal(error: Any) -> str | None:
    """Returns the SQLSTATE with which the server refused; None: no server answered, or the system has no PQtrace.

    If the server takes the connection now, the code is MOMENTARY.

    Args:
        error: psycopg's error, which has the parameters of the connection.
    """
    psycopg = import_module("psycopg")
    given = getattr(getattr(error, "pgconn", None), "info", None)
    # psycopg offers PQtrace on Linux only.
    if not given or isinstance(error, psycopg.errors.ConnectionTimeout) or not hasattr(os, "memfd_create"):
        return None
    parameters = {option.keyword.decode(): option.val.decode() for option in given if option.val is not None}
    conninfo = psycopg.conninfo.make_conninfo("", **parameters).encode()
    # In memory, because the log has the answers to the server's authentication requests too.
    file = os.memfd_create("sessionstore")
    try:
        async with asyncio.timeout(_SECONDS):
            if await _connects(psycopg.pq, conninfo, file):
                return MOMENTARY
    except (TimeoutError, OSError, psycopg.Error):
        return None
    else:
        os.lseek(file, 0, os.SEEK_SET)
        found = _CODE.search(os.read(file, 1 << 20))
        return None if found is None else found[1].decode()
    finally:
        os.close(file)


async def _connects(pq: Any, conninfo: bytes, trace: int) -> bool:
    """Connects as psycopg does, and hangs up; returns whether the server took the connection."""
    connection = pq.PGconn.connect_start(conninfo)
    try:
        if connection.status == pq.ConnStatus.BAD:
            return False
        connection.trace(trace)
        while (status := connection.connect_poll()) in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
            await _ready(connection.socket, writing=status == pq.PollingStatus.WRITING)
        connection.untrace()
        return bool(status == pq.PollingStatus.OK)
    finally:
        connection.finish()


async def _ready(socket: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(socket, ready.set)
    try:
        await ready.wait()
    finally:
        remove(socket)
