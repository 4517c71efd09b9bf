"""Makes, upgrades and takes back the tables, under a lock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.sql.ddl import CreateSchema

from ..errors import ConfigurationError, SchemaError, StorageUnavailableError
from ..storage.sql.revisions import only_adds
from ..storage.sql.tables import REVISIONS
from .alembic_config import HEAD, alone_with_alembic, config_of, context_of
from .comparing import revision_of
from .connection import connected
from .faults import faults, guarded, keep_waiting
from .indexes import rebuild_invalid
from .locks import begin_alone, holders, limit_waits, may_go_again
from .target import Target

_LOG: Final = logging.getLogger("sessionstore.migrate")


@contextmanager
def migrating(target: Target) -> Generator[Connection]:
    """Opens a connection that holds the migration lock of the schema. Concurrent migrations wait for each other.

    Raises:
        ConfigurationError: The URL leads to a pooler.
        StorageError: The database failed or could not be reached, or other transactions held the locks for too long.
    """
    if target.pooled:
        # A pooler would keep the connection, and so the lock below. Every later migration would wait for the lock.
        raise ConfigurationError(
            "migrations do not go through a pooler in transaction mode: give the URL of the server itself, without "
            "prepared_statements=false"
        )
    with faults(target, "a migration"), connected(target) as connection:
        if target.schema is not None:
            begin_alone(connection, target.schema, target.lock_wait)
            limit_waits(connection, target.lock_wait)
            with connection.begin():
                ensure_schema(connection, target.schema)
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
    Rebuilds indexes of the tables that an interrupted ``REINDEX`` or ``CREATE INDEX CONCURRENTLY`` left invalid.
    Leaves tables of a newer revision as they are, if this version works with them.

    Args:
        url: The database; None: ``SESSIONSTORE_DATABASE_URL``, else the default SQLite file.
        schema: The PostgreSQL schema, made if it is missing; None: ``SESSIONSTORE_SCHEMA``, else "sessionstore".
        revision: The last revision to apply.
        lock_timeout: How long to wait for locks in all; None: 5 minutes, and 30 seconds for a SQLite file. Each wait
            for tables is 2 seconds at most, since other users of a table queue behind it.

    Raises:
        StorageError: The database failed or could not be reached. StorageUnavailableError: also if a lock was not free
            in time.
        SchemaError: The database is at a revision that this version neither knows nor works with.
        ConfigurationError: An argument is invalid, or the encoding of the database is not UTF-8.
    """
    target = Target.of(url, schema, lock_timeout)

    def run(config: Config) -> None:
        command.upgrade(config, revision)
        rebuild_invalid(config.attributes["connection"], target)

    guarded(target, "a migration", lambda: _migrate(target, run, upward=True))


def downgrade(
    url: str | None = None, *, schema: str | None = None, revision: str, lock_timeout: timedelta | None = None
) -> None:
    """Takes back the revisions after ``revision``, and deletes what they added.

    "0001" deletes every item and keeps the sessions. "base" takes back all revisions and deletes every session.

    Raises:
        StorageError: As upgrade().
        SchemaError: The database is at a revision that this version does not know.
    """
    target = Target.of(url, schema, lock_timeout)
    guarded(target, "a migration", lambda: _migrate(target, lambda config: command.downgrade(config, revision)))


def _migrate(target: Target, run: Callable[[Config], None], *, upward: bool = False) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config_of(target)).walk_revisions()}
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
            # While this process waited, another process may have upgraded to a revision that is unknown here.
            if _found(target) == found:
                raise
        else:
            time.sleep(target.lock_wait.pause())


def _found(target: Target) -> str | None:
    with connected(target) as connection:
        return revision_of(context_of(connection, target), target)


def _done(target: Target, run: Callable[[Config], None]) -> bool:
    """Runs a migration once. False: a lock was not free, the migration was rolled back, and it may be tried again.

    Raises:
        StorageUnavailableError: A lock was not free in time.
    """
    try:
        # Alembic is locked after the database, so that a thread that waits for the database blocks no other thread.
        with migrating(target) as connection, alone_with_alembic():
            run(config_of(target, connection=connection))
    except StorageUnavailableError as error:
        if target.schema is None or not may_go_again(error.code):
            raise
        with connected(target) as connection:
            whom = holders(connection, target.schema)
        keep_waiting(target, whom, error.__cause__)
        return False
    return True


def ensure_schema(connection: Connection, schema: str) -> None:
    """Makes the schema if it is missing."""
    # Asks first, because CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if the schema exists.
    found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
    if found.first() is None:
        connection.execute(CreateSchema(schema, if_not_exists=True))
