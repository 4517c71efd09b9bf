"""Our revisions inside a host's Alembic, where the host has a SQLite file, several databases, or a script."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import sqlite_url

from ..support.bystander import ask, dsn
from .catalogue import postgresql_catalogue, sqlite_catalogue
from .host import Host
from .hosted import HOSTED, versions_in


@pytest.mark.parametrize("template", ["generic", "async"])
def test_a_sqlite_file_of_the_host_has_our_tables_too(sqlite_template: Path, tmp_path: Path, template: str) -> None:
    path = tmp_path / "host.db"
    url = sqlite_url(path)
    host = Host.made(tmp_path, url if template == "async" else url.replace("+aiosqlite", ""), template)
    own = {"alembic_version", "sqlite_autoindex_alembic_version_1", "orders"}

    def ours() -> list[tuple[Any, ...]]:
        return [thing for thing in sqlite_catalogue(path) if thing[1] not in own]

    for _ in range(2):
        host.upgrade()
        migrate.check(url)
        assert ours() == sqlite_catalogue(sqlite_template)
    migrate.downgrade(url, revision=REVISIONS[0])
    host.downgrade("sessionstore@sessionstore_0001")
    migrate.upgrade(url)
    host.upgrade()
    host.downgrade("sessionstore@base")
    assert migrate.current(url) is None
    host.upgrade()
    assert ours() == sqlite_catalogue(sqlite_template)


def test_a_migration_of_a_sqlite_file_that_is_cut_off_leaves_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "host.db"
    host = Host.made(tmp_path, f"sqlite:///{path}")
    # The table of a host is in the way of the second index of ours.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ix_sessions_namespace_owner_id (id int)")
    with pytest.raises(OperationalError, match="ix_sessions_namespace_owner_id"):
        host.upgrade("sessionstore@head")
    assert [name for _, name, _ in sqlite_catalogue(path) if "session" in name and not name.startswith("ix")] == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE ix_sessions_namespace_owner_id")
    host.upgrade()
    migrate.check(sqlite_url(path))


def test_one_of_the_databases_of_a_host_has_the_sessions(tmp_path: Path) -> None:
    host = Host.made(tmp_path, f"sqlite:///{tmp_path / 'one.db'}", "multidb", sessionstore_engine="engine2")
    ini = tmp_path / "alembic.ini"
    ini.write_text(ini.read_text().replace("driver://user:pass@localhost/dbname2", f"sqlite:///{tmp_path / 'two.db'}"))
    host.upgrade()
    migrate.check(sqlite_url(tmp_path / "two.db"))
    assert migrate.current(sqlite_url(tmp_path / "one.db")) is None


def test_the_script_of_a_host_makes_our_tables_too(postgres: Database, tmp_path: Path) -> None:
    wanted = postgresql_catalogue(postgres)
    ask(postgres, "DROP SCHEMA sessionstore CASCADE")
    host = Host.made(tmp_path, postgres.url)
    script = host.script_of()
    assert (script.count("BEGIN;"), script.count("COMMIT;")) == (1, 1)
    with psycopg.connect(dsn(postgres.url), autocommit=True) as connection:
        connection.execute(script.encode())
    assert postgresql_catalogue(postgres) == wanted
    migrate.check(postgres.url)
    assert versions_in(postgres) == HOSTED
    host.upgrade()


def test_the_script_of_a_host_makes_our_tables_in_a_sqlite_file_too(tmp_path: Path) -> None:
    path = tmp_path / "host.db"
    host = Host.made(tmp_path, f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(host.script_of())
    migrate.check(sqlite_url(path))
    host.upgrade()
