"""Migrations from a service's own code: in threads, and in the middle of a migration of its own."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from sessionstore import migrate
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url

from ..support.bystander import ask, until_blocked
from ..support.processes import python

_ENV = """
from alembic import context
from sqlalchemy import NullPool, create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""

_REVISION = """
import sqlalchemy as sa
from alembic import op
from sessionstore import migrate

revision = "a1"
down_revision = None

def upgrade():
    op.create_table("orders", sa.Column("id", sa.Integer))
    {inside}
    op.add_column("orders", sa.Column("total", sa.Integer))
    assert op.get_context().as_sql is False
    {after}
"""


def _service(directory: Path, url: str, inside: str, after: str = "pass") -> Config:
    """The migrations of a service, whose first revision runs ours in its middle."""
    (directory / "versions").mkdir(parents=True)
    (directory / "env.py").write_text(_ENV)
    (directory / "versions" / "a1.py").write_text(_REVISION.format(inside=inside, after=after))
    config = Config(output_buffer=io.StringIO())
    config.set_main_option("script_location", str(directory))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def test_many_schemas_are_migrated_in_threads_at_once(bare_database: Database) -> None:
    schemas = [f"s{n}" for n in range(4)] * 2
    with ThreadPoolExecutor(len(schemas)) as pool:
        for done in [pool.submit(migrate.upgrade, bare_database.url, schema=schema) for schema in schemas]:
            done.result(timeout=60)
    for schema in schemas[:4]:
        migrate.check(bare_database.url, schema=schema)


async def test_a_migration_in_a_thread_waits_for_no_other_schema_that_another_thread_waits_for(
    bare_database: Database,
) -> None:
    with ThreadPoolExecutor() as pool:
        with migrate.migrating(migrate.Target.of(bare_database.url, "held")):
            waiting = pool.submit(migrate.upgrade, bare_database.url, schema="held")
            await until_blocked(bare_database)
            pool.submit(migrate.upgrade, bare_database.url, schema="free").result(timeout=30)
        waiting.result(timeout=30)


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
async def test_a_child_that_is_forked_during_a_migration_of_a_thread_migrates_too(
    bare_database: Database, tmp_path: Path, database_kind: str
) -> None:
    urls = bare_database.url, bare_database.url
    if database_kind == "sqlite":
        urls = sqlite_url(tmp_path / "one.db"), sqlite_url(tmp_path / "other.db")
    ended = await asyncio.wait_for(
        python("-W", "ignore::DeprecationWarning", "-m", "tests.migrate.forking", *urls, "other"), 60
    )
    assert (ended.status, ended.output) == (0, "")


@pytest.mark.parametrize("database_kind", ["postgresql", "sqlite"])
def test_a_migration_inside_one_of_the_service_does_not_disturb_it(
    bare_database: Database, tmp_path: Path, database_kind: str
) -> None:
    # SQLite has one writer, so that ours are in a file of their own there.
    ours = bare_database.url if database_kind == "postgresql" else sqlite_url(tmp_path / "sessions.db")
    inside = f"migrate.upgrade({ours!r}); migrate.check({ours!r}); migrate.sql({ours!r})"
    command.upgrade(_service(tmp_path / "service", bare_database.url, inside), "head")
    migrate.check(ours)
    assert ask(bare_database, "SELECT id, total FROM orders") == []
    assert ask(bare_database, "SELECT version_num FROM alembic_version") == [("a1",)]


def test_a_migration_inside_one_of_the_service_that_fails_does_not_commit_it(
    bare_database: Database, tmp_path: Path
) -> None:
    config = _service(
        tmp_path / "service", bare_database.url, f"migrate.upgrade({bare_database.url!r})", "raise KeyError('mine')"
    )
    with pytest.raises(KeyError, match="mine"):
        command.upgrade(config, "head")
    migrate.check(bare_database.url)
    assert ask(bare_database, "SELECT to_regclass('public.orders')") == [(None,)]


def test_a_failed_migration_gives_alembic_back_to_the_service(bare_database: Database, tmp_path: Path) -> None:
    nowhere = make_url(bare_database.url).set(database="missing").render_as_string(hide_password=False)
    inside = f"""
    try:
        migrate.upgrade({nowhere!r})
    except Exception as error:
        assert type(error).__name__ == "StorageUnavailableError"
"""
    command.upgrade(_service(tmp_path / "service", bare_database.url, inside.strip()), "head")
    assert ask(bare_database, "SELECT id, total FROM orders") == []
