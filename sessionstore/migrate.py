"""Makes and upgrades the tables, with Alembic, from wherever the package is installed."""

from __future__ import annotations

import io
import random
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, MetaData, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.ddl import CreateSchema

from . import config
from .errors import ConfigurationError, SchemaError, StorageError, StorageUnavailableError
from .storage.sql.engine import BUSY_SECONDS, CONNECT_SECONDS
from .storage.sql.faults import code_of, driver_error
from .storage.sql.options import PREPARED, own_options
from .storage.sql.tables import REVISIONS, VERSION_TABLE, deletions_table, sessions_table
from .storage.sql.url import read_url

HEAD: Final = "head"

# Any number, as long as nobody else in the database uses it for an advisory lock: "sessions" in ASCII.
_LOCK_KEY: Final = 0x73657373696F6E73
_LOCK_TIMEOUT: Final = "5s"


@dataclass(frozen=True, slots=True)
class Target:
    """A database and the schema in it that is to be migrated."""

    url: URL
    connect_args: Mapping[str, Any] = field(repr=False)
    schema: str | None
    pooled: bool = False

    @classmethod
    def of(cls, url: str | None, schema: str | None) -> Target:
        """From what was given, else from the environment."""
        address = read_url(config.database_url(url), synchronous=True)
        named = None if address.backend == "sqlite" else config.schema_name(schema)
        prepared = own_options(address.backend, address.own, {}).get(PREPARED, True)
        return cls(address.url, address.connect_args, named, pooled=not prepared)

    @classmethod
    def from_environment(cls) -> Target:
        """``SESSIONSTORE_DATABASE_URL`` and ``SESSIONSTORE_SCHEMA``, or their defaults."""
        return cls.of(None, None)

    @property
    def version_table(self) -> str:
        return VERSION_TABLE

    def metadata(self) -> MetaData:
        """The tables that there should be."""
        metadata = MetaData(schema=self.schema)
        sessions_table(metadata, sqlite=self.schema is None)
        if self.schema is not None:
            deletions_table(metadata)
        return metadata

    def includes(self, name: str | None, kind: str, parents: Any) -> bool:
        """Whether a thing in the database is ours, so that Alembic's comparison drops no other."""
        if kind == "schema":
            return name == self.schema
        return kind != "table" or name in {table.name for table in self.metadata().tables.values()}

    def preparing(self) -> Iterator[Any]:
        """What has to be there before the first revision, for a script."""
        if self.schema is not None:
            yield CreateSchema(self.schema, if_not_exists=True)


@contextmanager
def migrating(target: Target) -> Generator[Connection]:
    """A connection that is alone in migrating: of any number of processes that begin at once, each waits its turn.

    Raises:
        ConfigurationError: The connection would be a pooler's.
    """
    if target.pooled:
        # A pooler keeps the connection, and with it the lock below, and every later migration would wait for that.
        raise ConfigurationError(
            "migrations do not go through a pooler in transaction mode: give the URL of the server itself, without "
            "prepared_statements=false"
        )
    with _connected(target) as connection:
        if target.schema is None:
            yield connection
            return
        # Of the session, not of the transaction: an index that is built concurrently has to commit in between.
        with connection.begin():
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
            # Only now: waiting for another migration is fine, but waiting behind a long transaction holds up everybody.
            connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            _ensure_schema(connection, target.schema)
        yield connection
        # The end of the connection frees the lock.


def upgrade(url: str | None = None, *, schema: str | None = None, revision: str = HEAD) -> None:
    """Makes or upgrades the tables. Doing it again, or from many processes at once, is fine.

    Args:
        url: None: ``SESSIONSTORE_DATABASE_URL``, else the default SQLite file.
        schema: None: ``SESSIONSTORE_SCHEMA``, else "sessionstore". Made where it is missing.
        revision: Up to which revision.

    Raises:
        StorageError: The database failed or could not be reached.
        SchemaError: It is at a revision that this version does not know.
    """
    _alembic(Target.of(url, schema), lambda alembic: command.upgrade(alembic, revision))


def downgrade(url: str | None = None, *, schema: str | None = None, revision: str) -> None:
    """Takes back the revisions after this one; "base" takes back all, and with them every session.

    Raises:
        StorageError, SchemaError: As upgrade().
    """
    _alembic(Target.of(url, schema), lambda alembic: command.downgrade(alembic, revision))


def current(url: str | None = None, *, schema: str | None = None) -> str | None:
    """The revision that the database is at; None where there is none.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)
    with _connected(target) as connection, _faults():
        return _context(connection, target).get_current_revision()


def check(url: str | None = None, *, schema: str | None = None) -> None:
    """Compares the database with what this version works with; changes nothing.

    Raises:
        SchemaError: It is at another revision, or differs from what the revision made.
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)
    wanted = REVISIONS[-1]
    with _connected(target) as connection, _faults():
        context = _context(connection, target)
        found = context.get_current_revision()
        if found != wanted:
            known = found is None or found in REVISIONS
            remedy = "run `sessionstore migrate upgrade`" if known else "upgrade sessionstore"
            raise SchemaError(
                f"the database is at revision {found}, and this version wants {wanted}: {remedy}",
                found=found,
                wanted=wanted,
            )
        if differences := compare_metadata(context, target.metadata()):
            raise SchemaError(
                f"the tables differ from revision {wanted} in {len(differences)} place(s): something else changed them",
                found=found,
                wanted=wanted,
            )


def sql(url: str | None = None, *, schema: str | None = None, revision: str = HEAD) -> str:
    """The SQL of an upgrade from nothing, for those who run it by hand; no database is asked."""
    script = io.StringIO()
    target = Target.of(url, schema)
    command.upgrade(_config(target, output_buffer=script), revision, sql=True)
    return script.getvalue()


def _alembic(target: Target, run: Any) -> None:
    with _faults():
        alembic = _config(target)
        with _connected(target) as connection:
            found = _context(connection, target).get_current_revision()
        known = {script.revision for script in ScriptDirectory.from_config(alembic).walk_revisions()}
        if found is not None and found not in known:
            raise SchemaError(
                f"the database is at revision {found}, which this version does not know; use the newer version",
                found=found,
                wanted=REVISIONS[-1],
            )
        run(alembic)


def _config(target: Target, output_buffer: io.StringIO | None = None) -> Config:
    alembic = Config(output_buffer=output_buffer, attributes={"target": target})
    alembic.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    alembic.set_main_option("path_separator", "os")
    return alembic


def _scripts() -> Path:
    """The migrations: inside the package in a wheel, beside it in a checkout and in an editable install."""
    package = Path(__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _context(connection: Connection, target: Target) -> MigrationContext:
    options = {
        "version_table": target.version_table,
        "version_table_schema": target.schema,
        "include_schemas": target.schema is not None,
        "include_name": target.includes,
        "compare_type": True,
    }
    return MigrationContext.configure(connection, opts=options)


def _engine(target: Target) -> Engine:
    timeout = {"timeout": BUSY_SECONDS} if target.schema is None else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(
        target.url, poolclass=NullPool, hide_parameters=True, connect_args=timeout | dict(target.connect_args)
    )
    if target.schema is not None:
        return engine

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # Transactions are begun below; and WAL, which stays with the file, lets readers and a writer work at once.
        connection.isolation_level = None
        _keep_wal(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Takes the file before the revision is read, so that one process migrates and the others find it done.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _keep_wal(connection: sqlite3.Connection) -> None:
    # Going over to WAL takes the file alone, and SQLite does not wait for that as it does for all other locks.
    patience = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                raise
            time.sleep(random.uniform(0, 0.05))  # noqa: S311
        else:
            return


@contextmanager
def _connected(target: Target) -> Generator[Connection]:
    engine = _engine(target)
    try:
        with _faults(), engine.connect() as connection:
            # Ours is always named, also where it is the one that the connection looks into first.
            connection.dialect.default_schema_name = None
            yield connection
    finally:
        engine.dispose()


def _ensure_schema(connection: Connection, schema: str) -> None:
    # Looks first: CREATE SCHEMA IF NOT EXISTS asks for the right to create even where there is nothing to do.
    found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
    if found.first() is None:
        connection.execute(CreateSchema(schema, if_not_exists=True))


@contextmanager
def _faults() -> Generator[None]:
    try:
        yield
    except CommandError:
        # Alembic's own words speak of its files and of branches, which nobody here has to know.
        raise ConfigurationError("there is no such revision, or it is not on the way that was asked for") from None
    except DBAPIError as error:
        code = code_of(driver_error(error))
        if code is None or code.startswith(("08", "53", "57", "28", "SQLITE_BUSY", "SQLITE_CANTOPEN")):
            unavailable = StorageUnavailableError(
                "the database could not be asked; check that it runs and that the URL's host, user and password "
                "are right",
                code=code,
            )
            raise unavailable from error.orig
        if code == "55P03":
            busy = f"a migration waited {_LOCK_TIMEOUT} for a lock on the table; nothing was changed, try again"
            raise StorageUnavailableError(busy, code=code) from error.orig
        raise StorageError(
            "a migration failed and was rolled back; the cause has the details", code=code
        ) from error.orig
