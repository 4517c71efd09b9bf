"""Ways into a PostgreSQL server that it does not have itself: TCP, a socket of one's own, TLS, silence."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url

from sessionstore.testing.directory import short_directory

from .wire import SSL_REQUEST, connected, copy, first_to_end

CERTIFICATES = Path(__file__).with_name("tls")


class Entrance:
    """Leads to the server of a URL, from entering to leaving.

    Args:
        target: The URL of the database.
        tls: Whether it takes TLS where a client asks for it.
        direct: Whether it takes TLS only, without being asked, and of PostgreSQL's protocol, as servers from 17 on do.

    Attributes:
        directory: Of the Unix socket.
        port: On localhost, over TCP.
        silent_port: Where connections are taken and never answered.
        closed_port: Where nobody listens.
        encrypted: How many connections came with TLS.
        plain: How many came without.
    """

    def __init__(self, target: str, *, tls: bool = False, direct: bool = False) -> None:
        self._target = make_url(target)
        self._context = _server_context() if tls else None
        self._direct = _server_context() if direct else None
        self._clients: dict[asyncio.Task[None], StreamWriter] = {}
        self._leaving = contextlib.ExitStack()
        self.encrypted = self.plain = 0

    async def __aenter__(self) -> Self:
        self.directory = self._leaving.enter_context(short_directory())
        self._servers = [
            await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._direct),
            await asyncio.start_server(self._keep_silent, "127.0.0.1", 0),
            await asyncio.start_server(self._keep_silent, "127.0.0.1", 0),
            await asyncio.start_unix_server(self._accept, self.directory / ".s.PGSQL.5432"),
        ]
        self.port, self.silent_port, self.closed_port = (
            server.sockets[0].getsockname()[1] for server in self._servers[:3]
        )
        self._servers[2].close()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for server in self._servers:
            server.close()
        # Hung up on and not cancelled: asyncio's callback for these tasks cannot stand a cancelled one (Python 3.11).
        for client in self._clients.values():
            client.transport.abort()
        await asyncio.gather(*self._clients)
        self._leaving.close()

    async def _keep_silent(self, reader: StreamReader, writer: StreamWriter) -> None:
        with self._noted(writer), contextlib.suppress(OSError):
            await reader.read()
            writer.close()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        with self._noted(writer), contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            first = await self._startup(reader, writer)
            server_reader, server_writer = await connected(self._target)
            with contextlib.closing(server_writer):
                server_writer.write(first)
                await first_to_end(copy(reader, server_writer), copy(server_reader, writer))

    @contextlib.contextmanager
    def _noted(self, writer: StreamWriter) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        try:
            yield
        finally:
            del self._clients[task]

    async def _startup(self, reader: StreamReader, writer: StreamWriter) -> bytes:
        """The first message that goes on to the server."""
        encrypted = self._direct is not None
        if encrypted and writer.get_extra_info("ssl_object").selected_alpn_protocol() != "postgresql":
            raise EOFError
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!II", head)
            if length != len(head):
                self.encrypted += encrypted
                self.plain += not encrypted
                return head + await reader.readexactly(length - 8)
            encrypted = code == SSL_REQUEST and self._context is not None
            writer.write(b"S" if encrypted else b"N")
            await writer.drain()
            if encrypted and self._context is not None:
                await writer.start_tls(self._context)


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.crt", CERTIFICATES / "server.key")
    context.set_alpn_protocols(["postgresql"])
    return context
