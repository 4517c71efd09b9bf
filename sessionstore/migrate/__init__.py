"""Migrations: makes, upgrades, compares and drops the tables, with Alembic."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import alembic.context
import alembic.op
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.sql.ddl import CreateSchema

from ..errors import ConfigurationError, SchemaError, StorageUnavailableError
from ..storage.sql.faults import LOCK_NOT_AVAILABLE
from ..storage.sql.revisions import only_adds
from ..storage.sql.tables import REVISIONS
from .connection import connected
from .faults import faults, guarded, waited
from .locks import TABLE_TURN, begin_alone, holders
from .target import Target

__all__ = ["HEAD", "Target", "check", "current", "downgrade", "migrating", "sql", "upgrade"]

HEAD: Final = "head"

_LOG: Final = logging.getLogger("sessionstore.migrate")

_PAUSE: Final = 0.5
"""Seconds for which a migration lets other transactions use the tables before it asks for its lock again."""

_alembic_turn = threading.RLock()
"""One migration at a time in this process: Alembic keeps the current one in globals of its modules."""


@contextmanager
def migrating(target: Target) -> Generator[Connection]:
    """A connection that holds the lock for migrations of the schema. Concurrent migrations wait for each other.

    Raises:
        ConfigurationError: The URL leads to a pooler.
        StorageError: The database failed or could not be reached, or other transactions held the locks for too long.
    """
    if target.pooled:
        # A pooler keeps the connection open, and with it the lock below. Every later migration would wait for the lock.
        raise ConfigurationError(
            "migrations do not go through a pooler in transaction mode: give the URL of the server itself, without "
            "prepared_statements=false"
        )
    with faults(target, "a migration"), connected(target) as connection:
        if target.schema is not None:
            begin_alone(connection, target.schema, target.lock_wait)
            with connection.begin():
                # Short, because all other users of a table wait behind a migration that waits for its lock.
                connection.execute(text(f"SET lock_timeout = {target.lock_wait.turn(TABLE_TURN)}"))
                _ensure_schema(connection, target.schema)
        yield connection
        # Closing the connection releases the lock.


def upgrade(
    url: str | None = None,
    *,
    schema: str | None = None,
    revision: str = HEAD,
    lock_timeout: timedelta | None = None,
) -> None:
    """Makes or upgrades the tables. May be called again, and from many processes and threads at once.

    Waits for other migrations of the same schema and for transactions that use its tables, and logs what it waits for.
    Leaves tables of a newer revision as they are, if this version works with them.

    Args:
        url: The database; None: ``SESSIONSTORE_DATABASE_URL``, else the default SQLite file.
        schema: The PostgreSQL schema, made if it is missing; None: ``SESSIONSTORE_SCHEMA``, else "sessionstore".
        revision: The last revision to apply.
        lock_timeout: How long to wait for locks in all; None: 5 minutes, and 30 seconds for a SQLite file.

    Raises:
        StorageError: The database failed or could not be reached. StorageUnavailableError: also if a lock was not free
            in time.
        SchemaError: The database is at a revision that this version neither knows nor works with.
        ConfigurationError: An argument is invalid, or the encoding of the database is not UTF-8.
    """
    target = Target.of(url, schema, lock_timeout)
    guarded(
        target, "a migration", lambda: _migrate(target, lambda config: command.upgrade(config, revision), upward=True)
    )


def downgrade(
    url: str | None = None, *, schema: str | None = None, revision: str, lock_timeout: timedelta | None = None
) -> None:
    """Takes back the revisions after ``revision``. "base" takes back all of them and deletes every session.

    Raises:
        StorageError: As upgrade().
        SchemaError: The database is at a revision that this version does not know.
    """
    target = Target.of(url, schema, lock_timeout)
    guarded(target, "a migration", lambda: _migrate(target, lambda config: command.downgrade(config, revision)))


def current(url: str | None = None, *, schema: str | None = None) -> str | None:
    """The revision of the database; None: it has no tables of sessionstore.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)

    def read() -> str | None:
        with connected(target) as connection:
            return _revision(_context(connection, target), target)

    return guarded(target, "reading the revision", read)


def check(url: str | None = None, *, schema: str | None = None) -> None:
    """Compares the tables with those that this version needs. Changes nothing.

    Does not compare the tables of a newer revision that this version works with.

    Raises:
        SchemaError: The database is at another revision, or its tables differ from those of the revision.
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)
    guarded(target, "comparing the tables", lambda: _compare(target, REVISIONS[-1]))


def sql(url: str | None = None, *, schema: str | None = None, revision: str = HEAD) -> str:
    """The SQL that makes the tables in an empty database, to be run by hand. Connects to no database."""
    script = io.StringIO()
    target = Target.of(url, schema)
    with _alone_with_alembic():
        config = _config(target, output_buffer=script)
        guarded(target, "writing the script", lambda: command.upgrade(config, revision, sql=True))
    return script.getvalue()


def _compare(target: Target, wanted: str) -> None:
    with connected(target) as connection:
        context = _context(connection, target)
        found = _revision(context, target)
        if only_adds(found):
            return
        if found != wanted:
            known = found is None or found in REVISIONS
            remedy = f"run `sessionstore migrate upgrade{target.option}`" if known else "upgrade sessionstore"
            seen = "has no sessionstore tables" if found is None else f"is at revision {found}"
            raise SchemaError(
                f"{target.place} {seen}, and this version of sessionstore wants revision {wanted}; {remedy}",
                found=found,
                wanted=wanted,
            )
        if differences := compare_metadata(context, target.metadata()):
            raise SchemaError(
                f"the tables in {target.place} differ from revision {wanted} in {len(differences)} place(s): another "
                "program changed them",
                found=found,
                wanted=wanted,
            )


def _migrate(target: Target, run: Callable[[Config], None], *, upward: bool = False) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config(target)).walk_revisions()}
    while True:
        found = _found(target)
        if upward and only_adds(found):
            _LOG.info(
                "the tables are at a newer revision, which this version works with: there is nothing to do",
                extra={"revision": found, "known": REVISIONS[-1]},
            )
            return
        if found is not None and found not in known:
            raise SchemaError(
                f"{target.place} is at revision {found}, which this version of sessionstore does not know; upgrade "
                "sessionstore",
                found=found,
                wanted=REVISIONS[-1],
            )
        try:
            if _done(target, run):
                return
        except ConfigurationError:
            # While this process waited for its lock, another one may have upgraded to a revision that is unknown here.
            if _found(target) == found:
                raise
        else:
            time.sleep(_PAUSE)


def _found(target: Target) -> str | None:
    with connected(target) as connection:
        return _revision(_context(connection, target), target)


def _done(target: Target, run: Callable[[Config], None]) -> bool:
    """Runs a migration once; False: a lock was not free, the migration was rolled back, and there is time for another.

    Raises:
        StorageUnavailableError: A lock was not free in time.
    """
    try:
        # Alembic is locked after the database: a thread that waits for the database does not block other threads.
        with migrating(target) as connection, _alone_with_alembic():
            run(_config(target, connection=connection))
    except StorageUnavailableError as error:
        if target.schema is None or error.code != LOCK_NOT_AVAILABLE:
            raise
        with connected(target) as connection:
            whom = holders(connection, target.schema)
        if target.lock_wait.over:
            raise waited(target, whom) from error.__cause__
        target.lock_wait.report(f"a lock in {target.place}, held by {whom}")
        return False
    return True


@contextmanager
def _alone_with_alembic() -> Generator[None]:
    """Lets one thread use Alembic. Afterwards a migration of the service that called this one has Alembic again."""
    modules: tuple[Any, ...] = (alembic.context, alembic.op)
    with _alembic_turn:
        outer = [vars(module).get("_proxy") for module in modules]
        try:
            yield
        finally:
            for proxy in outer:
                if proxy is not None:
                    proxy._install_proxy()  # noqa: SLF001


def _config(
    target: Target, *, connection: Connection | None = None, output_buffer: io.StringIO | None = None
) -> Config:
    config = Config(output_buffer=output_buffer, attributes={"target": target, "connection": connection})
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> Path:
    """The directory of migrations: inside the package in a wheel, beside the package in a checkout."""
    package = Path(__file__).parent.parent
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


def _revision(context: MigrationContext, target: Target) -> str | None:
    heads = context.get_current_heads()
    if len(heads) > 1:
        raise SchemaError(
            f"{target.place} has {len(heads)} rows in its table {target.version_table!r}, which must have exactly one; "
            "delete the wrong ones",
            found=None,
            wanted=REVISIONS[-1],
        )
    return heads[0] if heads else None


def _ensure_schema(connection: Connection, schema: str) -> None:
    # Asks first: CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
    found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
    if found.first() is None:
        connection.execute(CreateSchema(schema, if_not_exists=True))
