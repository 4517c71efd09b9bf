"""Fixtures of the whole suite: a database server per session or worker, an empty storage per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from sessionstore import StorageProvider, open_storage, testing
from sessionstore.storage.sql.revisions import PREVIOUS
from sessionstore.testing import embedded
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database, PostgresServer, asyncpg_url, postgres_server
from sessionstore.testing.sqlite import copied_file, migrated_file, sqlite_url

from .support import distribution
from .support.pgbouncer import PGBOUNCER, Bouncer, pgbouncer
from .support.roles import NO_DDL, Deployment, deployment
from .support.threaded import SYNC_KIND, threaded

pytest_plugins = ["tests.support.databases"]

OpenAnother: TypeAlias = Callable[[], Awaitable[StorageProvider]]
Empty: TypeAlias = Callable[[Database], None]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def template(server: PostgresServer) -> Iterator[Database]:
    """A migrated database that nobody uses: a copy of it is made sooner than a migration."""
    with server.fresh_database() as database:
        yield database.migrate()


@pytest.fixture(scope="session")
def database(server: PostgresServer, template: Database) -> Iterator[Database]:
    """The session's own migrated database on the server."""
    with server.fresh_database(template) as database:
        yield database


@pytest.fixture(scope="session")
def roles(server: PostgresServer) -> Iterator[Deployment]:
    """A database with a role for each use, in which nobody changes the tables any more."""
    with deployment(server) as deployed:
        deployed.execute(*NO_DDL)
        yield deployed


@pytest.fixture(scope="session")
def bouncer(server: PostgresServer) -> Iterator[Bouncer]:
    """PgBouncer in transaction mode before the server."""
    with pgbouncer(server) as bouncer:
        yield bouncer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_file(tmp_path_factory.mktemp("sqlite") / "template.db")


@pytest.fixture(scope="session")
def previous_database(server: PostgresServer) -> Iterator[Database]:
    """A database at the previous revision."""
    with server.fresh_database() as database:
        yield database.migrate(revision=PREVIOUS)


@pytest.fixture(scope="session")
def previous_sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_file(tmp_path_factory.mktemp("sqlite") / "previous.db", revision=PREVIOUS)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches may take as long as they like, so that what goes together does not depend on the machine's speed."""
    monkeypatch.setattr("sessionstore.concurrency.combine._SLOW_BATCH", 3600.0)


@pytest.fixture
def unhurried_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads move the expiry before they answer, however busy the machine is."""
    monkeypatch.setattr("sessionstore.storage.sql.operations.late._MOMENT", 60.0)
    monkeypatch.setattr("sessionstore.storage.sql.operations.reads.MOVE_SECONDS", 60.0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def provider_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def empty() -> Empty:
    """Removes all sessions of a database."""
    return Database.empty


@pytest.fixture
def url_of_kind(request: pytest.FixtureRequest, tmp_path: Path, empty: Empty) -> Callable[[str], str]:
    """Gives the URL of an empty storage of a kind. Only the kinds that need a server start it."""

    def url_of_kind(kind: str) -> str:
        if kind == "memory":
            return "memory://"
        previous = "previous_" if kind.endswith("-previous") else ""
        if kind.startswith("sqlite"):
            template: Path = request.getfixturevalue(f"{previous}sqlite_template")
            return sqlite_url(copied_file(template, tmp_path / "sessions.db"))
        if kind == "postgresql-roles":
            roles: Deployment = request.getfixturevalue("roles")
            empty(roles.database)
            return roles.url("service")
        database: Database = request.getfixturevalue(f"{previous}database")
        empty(database)
        url = database.url
        if kind.startswith("pgbouncer"):
            bouncer: Bouncer = request.getfixturevalue("bouncer")
            url = bouncer.url(database)
        return asyncpg_url(url) if kind.endswith("asyncpg") else url

    return url_of_kind


@pytest.fixture
def storage_url(provider_kind: str, url_of_kind: Callable[[str], str]) -> str:
    """The URL of an empty storage of the kind."""
    return url_of_kind(provider_kind)


@pytest.fixture
async def open_another(
    storage_url: str, clock: ManualClock, request: pytest.FixtureRequest
) -> AsyncIterator[OpenAnother]:
    """Opens a provider on the test's data: another engine for a database, for memory always the same one."""
    in_memory: list[StorageProvider] = []
    async with AsyncExitStack() as opened:

        async def open_another() -> StorageProvider:
            if in_memory:
                return in_memory[0]
            kinds = distribution.parameters(request.node).values()
            storage = open_storage(storage_url, clock=clock)
            if SYNC_KIND in kinds:
                storage = threaded(storage)
            await opened.enter_async_context(storage)
            if "postgresql-roles" in kinds:
                request.getfixturevalue("roles").divide(storage, clock)
            if storage_url == "memory://":
                in_memory.append(storage)
            return storage

        yield open_another


@pytest.fixture
async def storage(open_another: OpenAnother) -> StorageProvider:
    """An open, empty provider of the kind, whose time is ``clock``."""
    return await open_another()


def pytest_configure(config: pytest.Config) -> None:
    for marker in distribution.MARKERS:
        config.addinivalue_line("markers", marker)
    # By hand, because this module has imported it already.
    config.pluginmanager.register(testing, testing.__name__)
    embedded.share_runtime()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    distribution.mark_what_is_needed(items)
    distribution.leave_uncovered(items)
    if _is_worker(config):
        distribution.keep_together_what_shares_a_fixture(items)
        distribution.longest_first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with distribution.measured_as_marked(item):
        return (yield)


def pytest_collection_finish(session: pytest.Session) -> None:
    if getattr(session.config.option, "loadgroup", False):
        distribution.see_that_groups_are_known(session.items)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Says below the counts what was not tested, since tests that are not there are not counted."""
    if PGBOUNCER is None and not config.option.collectonly and not _is_worker(config):
        config.get_terminal_writer().line("not tested: PgBouncer, which is not installed (apt-get install pgbouncer)")


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process runs a part of the tests, for another one that reports them."""
    return hasattr(config, "workerinput")
