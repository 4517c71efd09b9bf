"""Makes and upgrades the tables, with Alembic, from wherever the package is installed."""

from __future__ import annotations

import io
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
from ..storage.sql.tables import REVISIONS
from .connection import connected
from .faults import faults, guarded, waited
from .locks import LOCK_NOT_AVAILABLE, TABLE_TURN, begin_alone, holders
from .target import Target

__all__ = ["HEAD", "Target", "check", "current", "downgrade", "migrating", "sql", "upgrade"]

HEAD: Final = "head"

_PAUSE: Final = 0.5
"""Seconds in which others get the tables, before a migration asks for them again."""

_alembic_turn = threading.RLock()
"""Alembic keeps what it migrates in globals of its modules."""


@contextmanager
def migrating(target: Target) -> Generator[Connection]:
    """A connection that is alone in migrating: of any number of processes that begin at once, each waits its turn.

    Raises:
        ConfigurationError: The connection would be a pooler's.
        StorageError: The database failed, could not be reached, or let others have the locks for too long.
    """
    if target.pooled:
        # A pooler keeps the connection, and with it the lock below, and every later migration would wait for that.
        raise ConfigurationError(
            "migrations do not go through a pooler in transaction mode: give the URL of the server itself, without "
            "prepared_statements=false"
        )
    with faults(target, "a migration"), connected(target) as connection:
        if target.schema is not None:
            begin_alone(connection, target.schema, target.lock_wait)
            with connection.begin():
                # Waiting for another migration is fine, but waiting behind a long transaction holds up everybody.
                connection.execute(text(f"SET lock_timeout = {target.lock_wait.turn(TABLE_TURN)}"))
                _ensure_schema(connection, target.schema)
        yield connection
        # The end of the connection frees the lock.


def upgrade(
    url: str | None = None,
    *,
    schema: str | None = None,
    revision: str = HEAD,
    lock_timeout: timedelta | None = None,
) -> None:
    """Makes or upgrades the tables. Doing it again, or from many processes and threads at once, is fine.

    It waits for other migrations of the same schema and for whoever uses its tables, and logs whom it waits for.

    Args:
        url: None: ``SESSIONSTORE_DATABASE_URL``, else the default SQLite file.
        schema: None: ``SESSIONSTORE_SCHEMA``, else "sessionstore". Made where it is missing.
        revision: Up to which revision.
        lock_timeout: For how long to wait for others, in all. None: 5 minutes, and 30 seconds for a SQLite file.

    Raises:
        StorageError: The database failed or could not be reached; StorageUnavailableError where others were waited for
            in vain.
        SchemaError: It is at a revision that this version does not know.
        ConfigurationError: An argument cannot work, or the database cannot hold every text.
    """
    target = Target.of(url, schema, lock_timeout)
    guarded(target, "a migration", lambda: _migrate(target, lambda config: command.upgrade(config, revision)))


def downgrade(
    url: str | None = None, *, schema: str | None = None, revision: str, lock_timeout: timedelta | None = None
) -> None:
    """Takes back the revisions after this one; "base" takes back all, and with them every session.

    Raises:
        StorageError, SchemaError: As upgrade().
    """
    target = Target.of(url, schema, lock_timeout)
    guarded(target, "a migration", lambda: _migrate(target, lambda config: command.downgrade(config, revision)))


def current(url: str | None = None, *, schema: str | None = None) -> str | None:
    """The revision that the database is at; None where there is none.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)

    def read() -> str | None:
        with connected(target) as connection:
            return _revision(_context(connection, target), target)

    return guarded(target, "reading the revision", read)


def check(url: str | None = None, *, schema: str | None = None) -> None:
    """Compares the database with what this version works with; changes nothing.

    Raises:
        SchemaError: It is at another revision, or differs from what the revision made.
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)
    guarded(target, "comparing the tables", lambda: _compare(target, REVISIONS[-1]))


def sql(url: str | None = None, *, schema: str | None = None, revision: str = HEAD) -> str:
    """The SQL of an upgrade from nothing, for those who run it by hand; no database is asked."""
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
                f"the tables in {target.place} differ from revision {wanted} in {len(differences)} place(s): something "
                "else changed them",
                found=found,
                wanted=wanted,
            )


def _migrate(target: Target, run: Callable[[Config], None]) -> None:
    with connected(target) as connection:
        found = _revision(_context(connection, target), target)
    known = {script.revision for script in ScriptDirectory.from_config(_config(target)).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaError(
            f"{target.place} is at revision {found}, which this version of sessionstore does not know; upgrade "
            "sessionstore",
            found=found,
            wanted=REVISIONS[-1],
        )
    while not _done(target, run):
        time.sleep(_PAUSE)


def _done(target: Target, run: Callable[[Config], None]) -> bool:
    """Whether a migration was done, or was kept from a lock, nothing of it stayed, and there is time to do it again."""
    try:
        # Others of this process wait for Alembic, and so only once nobody else is waited for.
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
    """Lets one thread migrate, and gives Alembic back to the migration inside which that may be."""
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
    """The migrations: inside the package in a wheel, beside it in a checkout and in an editable install."""
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
    # Looks first: CREATE SCHEMA IF NOT EXISTS asks for the right to create even where there is nothing to do.
    found = connection.execute(text("SELECT 1 FROM pg_namespace WHERE nspname = :schema"), {"schema": schema})
    if found.first() is None:
        connection.execute(CreateSchema(schema, if_not_exists=True))
