"""PgBouncer in transaction mode before the test server, as Debian's package `pgbouncer` brings it.

Each transaction goes to the server connection that was used least recently (``server_round_robin``), so whatever a
client leaves behind on a connection, such as a prepared statement or a setting, is missed or met by another at once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy.engine import make_url

from sessionstore.testing.directory import short_directory
from sessionstore.testing.postgres import Database, PostgresServer, dsn, placeless

PGBOUNCER: Final = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
"""The program; None where this machine has none."""

_PORT: Final = 6432
# Whose it is where there is no socket of the server's, since it will not run as root.
_NOBODY: Final = "nobody"

_SETTINGS: Final = """
[databases]
* = {server}

[pgbouncer]
listen_port = {port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
max_client_conn = 200
logfile = {directory}/log
"""


class Bouncer:
    """A running PgBouncer, known by the directory of its socket."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def url(self, database: Database) -> str:
        """The database through PgBouncer, for psycopg, as a service would write it."""
        return self.careless_url(database) + "&prepared_statements=false"

    def careless_url(self, database: Database) -> str:
        """The same without a word of the pooler."""
        place = {"host": str(self._directory), "port": str(_PORT)}
        return placeless(database.url).set(query=place).render_as_string(hide_password=False)


@contextmanager
def pgbouncer(server: PostgresServer) -> Iterator[Bouncer]:
    """PgBouncer before the server, for as long as this context."""
    assert PGBOUNCER is not None
    with short_directory() as directory:
        settings = directory / "pgbouncer.ini"
        settings.write_text(_SETTINGS.format(server=_server(server.url), port=_PORT, directory=directory))
        command = [PGBOUNCER, "-q", str(settings)]
        if os.geteuid() == 0:
            user = _user(server.url)
            shutil.chown(directory, user)
            command[1:1] = ["-u", user]
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            bouncer = Bouncer(directory)
            _wait_until_up(bouncer.careless_url(Database(server.url)), running)
            yield bouncer
        finally:
            running.terminate()
            running.wait()


def _server(url: str) -> str:
    """Where the server is, in PgBouncer's words."""
    parsed = make_url(url)
    words = {
        "host": parsed.host or parsed.query.get("host") or "127.0.0.1",
        "port": parsed.port or parsed.query.get("port") or 5432,
        "user": parsed.username or "postgres",
        "password": parsed.password,
    }
    return " ".join(f"{name}='{value}'" for name, value in words.items() if value is not None)


def _user(url: str) -> str:
    """Whom the server lets come to its socket."""
    host = make_url(url).query.get("host")
    return Path(host).owner() if isinstance(host, str) and host.startswith("/") else _NOBODY


def _wait_until_up(url: str, running: subprocess.Popen[bytes]) -> None:
    """It tells nobody when it begins to listen."""
    conninfo = dsn(url)
    for _ in range(1000):
        try:
            psycopg.connect(conninfo, connect_timeout=10).close()
        except psycopg.OperationalError:
            assert running.poll() is None, "pgbouncer ended at once"
            time.sleep(0.01)
        else:
            return
    raise TimeoutError("pgbouncer lets nobody in")
