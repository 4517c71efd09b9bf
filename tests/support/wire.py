"""Counts what goes over the wire to PostgreSQL: a proxy that reads the client's half of the protocol.

An event hook of SQLAlchemy does not see what a driver sends by itself (BEGIN, COMMIT, ROLLBACK, prepared
statements); this does. See the PostgreSQL manual, "Frontend/Backend Protocol", Message Formats.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy.engine import URL, make_url

from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import placeless

SSL_REQUEST = 80877103
_GSSENC_REQUEST = 80877104
_CHUNK = 65536


@dataclass
class Seen:
    """What passed while it counted.

    Attributes:
        round_trips: How often a client waited for the server: Sync messages, simple queries, and the Flush messages
            that asyncpg sends to prepare.
        statements: The text of each statement executed, in order; a prepared one each time that it ran.
        settings: The text of each SET among them, which is not counted there: how many there are depends on how many
            connections were opened.
        prepared: The text of each statement parsed.
        connections: How many connections were opened.
    """

    round_trips: int = 0
    statements: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)
    connections: int = 0


class WireCounter:
    """A proxy before the server of a URL; ``url`` leads through it.

        async with WireCounter(database.url) as wire, open_storage(wire.url) as storage:
            with wire.counting() as seen:
                await storage.get(key)
            assert seen.round_trips == 1

    Args:
        target: The URL of the database, with psycopg or asyncpg; its host is a Unix socket's directory or a name.
    """

    def __init__(self, target: str) -> None:
        self._target = make_url(target)
        self._counting: list[Seen] = []
        self._leaving = contextlib.ExitStack()
        self._clients: dict[asyncio.Task[None], StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._directory = self._leaving.enter_context(short_directory())
        self._server = await asyncio.start_unix_server(self._accept, self._directory / ".s.PGSQL.5432")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        # Hung up on and not cancelled: asyncio's callback for these tasks cannot stand a cancelled one (Python 3.11).
        for client in self._clients.values():
            client.transport.abort()
        await asyncio.gather(*self._clients)
        self._leaving.close()

    @property
    def url(self) -> str:
        target = placeless(self._target).update_query_dict({"host": str(self._directory)})
        return target.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def counting(self) -> Iterator[Seen]:
        seen = Seen()
        self._counting.append(seen)
        try:
            yield seen
        finally:
            # By identity: two counts of nothing are equal.
            self._counting = [other for other in self._counting if other is not seen]

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        task.add_done_callback(self._clients.pop)
        with contextlib.closing(writer):
            first = await startup(reader, writer)
            if first is None:
                return
            server_reader, server_writer = await connected(self._target)
            with contextlib.closing(server_writer):
                server_writer.write(first)
                for seen in self._counting:
                    seen.connections += 1
                await first_to_end(self._forward(reader, server_writer), copy(server_reader, writer))

    async def _forward(self, client: StreamReader, server: StreamWriter) -> None:
        """Passes the client's messages on, each of them counted before the server can answer it."""
        statements: dict[bytes, str] = {}
        portals: dict[bytes, str] = {}
        while kind := await client.read(1):
            head = await client.readexactly(4)
            body = await client.readexactly(struct.unpack("!I", head)[0] - 4)
            for seen in self._counting:
                _count(kind, body, seen, portals)
            _remember(kind, body, statements, portals)
            server.write(kind + head + body)
            await server.drain()


def _count(kind: bytes, body: bytes, seen: Seen, portals: dict[bytes, str]) -> None:
    if kind in (b"S", b"Q", b"H"):
        seen.round_trips += 1
    if kind == b"P":
        seen.prepared.append(_text(body.partition(b"\0")[2]))
    elif kind in (b"Q", b"E"):
        text = _text(body) if kind == b"Q" else portals[body.partition(b"\0")[0]]
        (seen.settings if text.startswith("SET ") else seen.statements).append(text)


def _remember(kind: bytes, body: bytes, statements: dict[bytes, str], portals: dict[bytes, str]) -> None:
    """Keeps which text a prepared statement and a portal stand for, also while nobody counts."""
    name, _, rest = body.partition(b"\0")
    if kind == b"P":
        statements[name] = _text(rest)
    elif kind == b"B":
        portals[name] = statements[rest.partition(b"\0")[0]]


def _text(body: bytes) -> str:
    return body.partition(b"\0")[0].decode()


async def startup(reader: StreamReader, writer: StreamWriter) -> bytes | None:
    """The first message that goes on to the server; it alone has no kind. None: the client left."""
    while True:
        try:
            head = await reader.readexactly(8)
        except asyncio.IncompleteReadError:
            return None
        length, code = struct.unpack("!II", head)
        if code not in (SSL_REQUEST, _GSSENC_REQUEST):
            return head + await reader.readexactly(length - 8)
        writer.write(b"N")
        await writer.drain()


async def connected(url: URL) -> tuple[StreamReader, StreamWriter]:
    """A way to the server of a URL, whose host is a Unix socket's directory or a name."""
    query_host = url.query.get("host")
    host = url.host or (query_host if isinstance(query_host, str) else "localhost")
    port = url.port or int(str(url.query.get("port", 5432)))
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


async def copy(source: StreamReader, sink: StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()


async def first_to_end(*directions: Coroutine[object, object, None]) -> None:
    """A connection is over when either side hangs up, politely or not."""
    tasks = [asyncio.ensure_future(direction) for direction in directions]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, OSError | EOFError | asyncio.CancelledError | None):
            raise ended
