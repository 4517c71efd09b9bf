"""A TCP proxy before a PostgreSQL server that breaks connections, in ways that look the same to the client.

It reads the messages of the client, to know which of them write. See the PostgreSQL manual, "Frontend/Backend
Protocol", Message Formats.
"""

from __future__ import annotations

import asyncio
import re
import struct
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import placeless
from tests.support.wire import connected, startup

_PATIENCE = 60.0
_LATENCY = 0.05
_DISCARD_ALL = b"Q" + struct.pack("!I", 16) + b"DISCARD ALL\0"

_LOCKING = re.compile(rb"FOR (NO KEY )?UPDATE")
_WRITING = re.compile(rb"\b(UPDATE|INSERT|DELETE|COMMIT)\b")


class Fault(Enum):
    """What happens to the next write that passes."""

    CUT = "connection cut before the write was sent whole"
    STALL = "connection stalls in a write, and is cut once its callers gave up"
    DELAY = "answer to a write delayed"
    DROP = "answer to a committed write dropped, connection cut"


class Silence(Enum):
    """What no longer passes on a connection."""

    BOTH = "neither requests nor answers"
    REQUESTS = "no requests"
    ANSWERS = "no answers"


@dataclass
class _Connection:
    """One client's connection and what is going on on it."""

    client: StreamWriter
    server: StreamWriter
    statements: dict[bytes, bool] = field(default_factory=dict)
    """By name: whether a prepared one writes."""
    fault: Fault | None = None
    """What is to happen to the answer that comes next."""
    silence: Silence | None = None
    """What passes no more. With that, a side does not hear either that the other one has hung up."""
    forgetting: bool = False
    """Whether the server is to forget what was prepared, once it has answered."""

    @property
    def silent(self) -> bool:
        return self.silence is not None

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class Proxy:
    """Listens on a free port of 127.0.0.1, from entering to leaving; ``url`` leads through it.

    Args:
        target: The URL of the database.
    """

    def __init__(self, target: str) -> None:
        self._target = make_url(target)
        self._armed: Fault | None = None
        self._last_words: tuple[bytes, Silence] | None = None
        self._struck = asyncio.Event()
        self._healed = asyncio.Event()
        self._healed.set()
        self._clients: dict[asyncio.Task[None], StreamWriter] = {}
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        self._healed.set()
        # Hung up on and not cancelled: asyncio's callback for these tasks cannot stand a cancelled one (Python 3.11).
        for client in self._clients.values():
            client.transport.abort()
        for connection in self._connections:
            # The client's side too: of a silent connection that both ends have left, nothing was closed.
            connection.client.transport.abort()
            connection.server.transport.abort()
        await asyncio.gather(*self._clients)
        await asyncio.sleep(0)  # the event loop closes the sockets in its next turn

    @property
    def url(self) -> str:
        port = self._server.sockets[0].getsockname()[1]
        target = placeless(self._target).set(host="127.0.0.1", port=port)
        return target.render_as_string(hide_password=False)

    def arm(self, fault: Fault) -> asyncio.Event:
        """Lets the fault happen to the next write, which the event tells; one that stalls does so until heal()."""
        self._struck = asyncio.Event()
        if fault is Fault.STALL:
            self._healed.clear()
        self._armed = fault
        return self._struck

    async def strike(self, fault: Fault) -> None:
        """arm(), and waits until it has happened."""
        struck = self.arm(fault)
        async with asyncio.timeout(_PATIENCE):
            await struck.wait()

    def heal(self) -> None:
        """Ends what stalls."""
        self._healed.set()

    def silence(self, what: Silence = Silence.BOTH) -> int:
        """Lets all connections of now go silent, without a word to either side; how many it were. New ones work."""
        for connection in (alive := self._alive()):
            connection.silence = what
        return len(alive)

    def silence_at(self, words: bytes, what: Silence) -> None:
        """Lets all connections go silent when the next request with these words comes; this request is the first."""
        self._last_words = words, what

    def forget(self) -> int:
        """Lets the server forget what was prepared on each connection of now, once it has answered there again.

        Returns:
            How many connections it are. Their clients do not hear of it.
        """
        for connection in (alive := self._alive()):
            connection.forgetting = True
        return len(alive)

    def leave(self) -> None:
        """Cuts all connections of now at the client's side. The server ends first what it was asked to do."""
        for connection in self._connections:
            connection.client.transport.abort()

    def lead_to(self, target: str) -> None:
        """Leads those who connect from now on to another server, as a name that was switched does."""
        self._target = make_url(target)

    def _alive(self) -> list[_Connection]:
        return [each for each in self._connections if not (each.silent or each.client.is_closing())]

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        task.add_done_callback(self._clients.pop)
        try:
            if (first := await startup(reader, writer)) is None:
                writer.transport.abort()
                return
            server_reader, server_writer = await connected(self._target)
        except (OSError, IncompleteReadError):  # the client left amid its first message, or the server is not there
            writer.transport.abort()
            return
        server_writer.write(first)
        connection = _Connection(writer, server_writer)
        self._connections.append(connection)
        await asyncio.gather(
            self._to_its_end(connection, self._requests(reader, connection)),
            self._to_its_end(connection, self._answers(server_reader, connection)),
        )

    async def _to_its_end(self, connection: _Connection, direction: Coroutine[object, object, None]) -> None:
        """A connection is over when either side hangs up, politely or not."""
        try:
            await direction
        except (OSError, IncompleteReadError):
            if not connection.silent:
                connection.abort()
        else:
            if not connection.silent:
                connection.client.close()
                connection.server.close()

    async def _requests(self, client: StreamReader, connection: _Connection) -> None:
        while kind := await client.read(1):
            head = await client.readexactly(4)
            message = kind + head + await client.readexactly(struct.unpack("!I", head)[0] - 4)
            if self._last_words is not None and self._last_words[0] in message:
                what, self._last_words = self._last_words[1], None
                self.silence(what)
            if connection.silence in (Silence.BOTH, Silence.REQUESTS):
                continue
            if _writes(message, connection.statements) and self._armed is not None:
                connection.fault, self._armed = self._armed, None
            if connection.fault is Fault.CUT:
                connection.server.write(message[: len(message) // 2])
                await connection.server.drain()
                self._struck.set()
                raise ConnectionAbortedError
            connection.server.write(message)
            await connection.server.drain()

    async def _answers(self, server: StreamReader, connection: _Connection) -> None:
        held = b""
        while True:
            kind = await server.read(1)
            if not kind:
                return
            head = await server.readexactly(4)
            held += kind + head + await server.readexactly(struct.unpack("!I", head)[0] - 4)
            if connection.silence in (Silence.BOTH, Silence.ANSWERS):
                held = b""
                continue
            # ReadyForQuery: all of an answer is there; "I": and no transaction is open, so that it is committed.
            if connection.fault is not None and kind != b"Z":
                continue
            idle = kind == b"Z" and held.endswith(b"I")
            if connection.fault is not None and idle:
                await self._befall(connection)
            if connection.forgetting and idle:
                await _discard_all(server, connection)
            connection.client.write(held)
            await connection.client.drain()
            held = b""

    async def _befall(self, connection: _Connection) -> None:
        """What happens to an answer; returns if it is to be passed on."""
        fault, connection.fault = connection.fault, None
        self._struck.set()
        if fault is Fault.DELAY:
            await asyncio.sleep(_LATENCY)
            return
        if fault is Fault.STALL:
            await self._healed.wait()
        raise ConnectionAbortedError


async def _discard_all(server: StreamReader, connection: _Connection) -> None:
    """Asks the server between two questions of the client, which does not see the answer."""
    connection.forgetting = False
    connection.server.write(_DISCARD_ALL)
    await connection.server.drain()
    kind = b""
    while kind != b"Z":
        kind = await server.readexactly(1)
        (length,) = struct.unpack("!I", await server.readexactly(4))
        await server.readexactly(length - 4)


def _writes(message: bytes, statements: dict[bytes, bool]) -> bool:
    """Whether a client's message runs a statement that writes; remembers those that are prepared."""
    kind, body = message[:1], message[5:]
    if kind == b"Q":
        return _is_writing(body)
    if kind == b"P":
        name, _, text = body.partition(b"\0")
        statements[name] = _is_writing(text)
    if kind == b"B":
        return statements.get(body.partition(b"\0")[2].partition(b"\0")[0], False)
    return False


def _is_writing(text: bytes) -> bool:
    return _WRITING.search(_LOCKING.sub(b"", text.partition(b"\0")[0])) is not None
