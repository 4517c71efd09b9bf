"""Runs our revisions inside a host's Alembic: on the host's connection, in its transaction, in our own schema.

The revisions in ``versions/`` call these functions. They run the released revisions in our own Alembic environment, so
that the host's naming convention, schema_translate_map and search_path do not affect our tables. They also write our
version table. So the host's Alembic and the command `sessionstore migrate` can continue each other's work.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Column, Connection, MetaData, String, Table, delete, insert, select

from .. import config as settings
from ..errors import ConfigurationError, SchemaError
from ..storage.sql.revisions import only_adds
from ..storage.sql.tables import REVISIONS
from .alembic_config import alone_with_alembic, config_of, context_of
from .comparing import revision_of
from .guest_part import part_of
from .scripting import BASE, between
from .target import Target
from .upgrading import ensure_schema
from .waits import LockWait

_ORDER: Final = (BASE, *REVISIONS)

_HOSTED: Final = "sessionstore_{}"
"""The ids of our revisions in a host's Alembic."""

_SCHEMA: Final = "sessionstore_schema"
_ENGINE: Final = "sessionstore_engine"


def upgrade(revision: str, engine_name: str | None = None) -> None:
    """Makes sure that the tables are at this revision or a later one.

    Args:
        revision: Our revision.
        engine_name: The name of the host's engine, if the host has several.

    Raises:
        StorageUnavailableError: A lock was not free in time.
        SchemaError: The tables are at a revision that this version neither knows nor works with.
    """
    context = op.get_context()
    if not _meant(context, engine_name):
        return
    if context.as_sql:
        _write(context, _before(revision), revision)
        return

    def run(connection: Connection, target: Target, config: Config, found: str) -> None:
        if target.schema is not None:
            ensure_schema(connection, target.schema)
        if _ORDER.index(found) < _ORDER.index(revision):
            command.upgrade(config, revision)

    # If the tables are at a later revision that only adds to them, there is nothing to do.
    _run(context, run, done=only_adds)
    _make_room(context, revision)


def downgrade(revision: str, engine_name: str | None = None) -> None:
    """Makes sure that the tables are at a revision before this one.

    Raises:
        StorageUnavailableError, SchemaError: As upgrade().
    """
    context = op.get_context()
    if not _meant(context, engine_name):
        return
    goal = _before(revision)
    if context.as_sql:
        _write(context, revision, goal)
        return

    def run(_: Connection, __: Target, config: Config, found: str) -> None:
        if _ORDER.index(found) > _ORDER.index(goal):
            command.downgrade(config, goal)

    _run(context, run)


def _before(revision: str) -> str:
    return _ORDER[_ORDER.index(revision) - 1]


def _run(
    context: MigrationContext,
    run: Callable[[Connection, Target, Config, str], None],
    done: Callable[[str | None], bool] = lambda _: False,
) -> None:
    connection = context.connection
    assert connection is not None
    target = _target(context)
    part = part_of(connection, target)
    with _untranslated(connection), part.alone():
        found = revision_of(context_of(connection, target), target)
        if done(found):
            return
        if found is not None and found not in REVISIONS:
            raise SchemaError(
                f"{target.place} is at revision {found}, which this version of sessionstore does not know; upgrade "
                "sessionstore",
                found=found,
                wanted=REVISIONS[-1],
            )

        def work() -> None:
            with alone_with_alembic():
                run(connection, target, config_of(target, connection=connection), found or BASE)

        part.work(work)


@contextmanager
def _untranslated(connection: Connection) -> Generator[None]:
    """Removes the host's schema_translate_map during the block, because the service's calls do not use it either."""
    given = connection.get_execution_options().get("schema_translate_map")
    connection.execution_options(schema_translate_map=None)
    try:
        yield
    finally:
        connection.execution_options(schema_translate_map=given)


def _write(context: MigrationContext, start: str, goal: str) -> None:
    """Adds our script to the script of the host, which begins and ends the transaction."""
    context.impl.static_output(between(_target(context), start, goal, part=True).strip())


def _make_room(context: MigrationContext, revision: str) -> None:
    """Lets the host's Alembic record the revision, also if another process did so while this one waited for its lock.

    Alembic read the host's version table before the wait, and fails if the row has changed since. So the row is set
    back to what Alembic read.
    """
    assert context.connection is not None
    version = Table(
        context.version_table, MetaData(), Column("version_num", String), schema=context.version_table_schema
    ).c.version_num
    later = [_HOSTED.format(name) for name in REVISIONS[REVISIONS.index(revision) :]]
    if context.connection.execute(select(version).where(version.in_(later))).first() is None:
        return
    context.connection.execute(delete(version.table).where(version.in_(later)))
    if (before := _before(revision)) != BASE:
        context.connection.execute(insert(version.table).values(version_num=_HOSTED.format(before)))


def _meant(context: MigrationContext, engine_name: str | None) -> bool:
    """Whether the sessions are in the database of this engine. Without a name, all engines have them."""
    return engine_name is None or _option(context, _ENGINE) in (None, engine_name)


def _target(context: MigrationContext) -> Target:
    backend = context.dialect.name
    if backend not in ("postgresql", "sqlite"):
        raise ConfigurationError(
            f"sessionstore keeps sessions in PostgreSQL and SQLite, and this database is {backend}; if the host has "
            f"several engines, name the right one in the option {_ENGINE}"
        )
    sqlite = backend == "sqlite"
    schema = None if sqlite else settings.schema_name(_option(context, _SCHEMA))
    url = URL.create(backend) if context.as_sql or context.connection is None else context.connection.engine.url
    return Target(url, {}, schema, LockWait.of(None, sqlite=sqlite))


def _option(context: MigrationContext, name: str) -> str | None:
    """Returns one of our options from the host's configuration: an attribute of the Config, or a line of the file."""
    if context.config is None:
        return None
    given = context.config.attributes.get(name)
    return given if given is not None else context.config.get_alembic_option(name)
