"""`migrate.grants()` prints what each role needs, and nothing beyond it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from sessionstore import ConfigurationError, migrate
from sessionstore.storage.sql.privileges import quoted
from sessionstore.testing.postgres import PostgresServer
from tests.support.roles import Deployment, deployment

SCHEMAS = ["sessionstore", 'Our "own" chats']


@pytest.fixture(scope="module", params=SCHEMAS)
def deployed(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with deployment(server, schema=str(request.param)) as made:
        yield made


def test_grants_are_printed_for_the_roles_that_are_named() -> None:
    assert migrate.grants(service="app") == (
        "-- sessionstore: the role of the service\n"
        "GRANT USAGE ON SCHEMA sessionstore TO app;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE sessionstore.sessions TO app;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE sessionstore.items TO app;\n"
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE sessionstore.deletions TO app;\n"
        "GRANT SELECT ON TABLE sessionstore.sessionstore_version TO app;\n"
    )
    alone = [migrate.grants(service="a"), migrate.grants(reaper="b"), migrate.grants(readonly="c")]
    assert migrate.grants(service="a", reaper="b", readonly="c") == "".join(alone)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("app", "app"),
        ("App", '"App"'),
        ("user", '"user"'),
        ("current_user", '"current_user"'),
        ('a"b', '"a""b"'),
        ("100%", '"100%"'),
        ("a; DROP ROLE b", '"a; DROP ROLE b"'),
        ("größe", '"größe"'),
    ],
)
def test_names_are_written_as_sql_reads_them(name: str, written: str) -> None:
    assert f"ON SCHEMA sessionstore TO {written};" in migrate.grants(service=name)
    if not set(name) & set("%:$"):
        assert f"ON TABLE {written}.sessions TO app;" in migrate.grants(service="app", schema=name)


@pytest.mark.parametrize("name", ["", "public", "none", "a\nb", "x" * 64])
def test_an_invalid_name_of_a_role_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="role"):
        migrate.grants(reaper=name)


def test_grants_without_a_role_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="--service, --reaper or --readonly"):
        migrate.grants()


def test_sqlite_has_no_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="SQLite has no roles"):
        migrate.grants("sqlite:///x.db", service="app")
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", "sqlite:///x.db")
    with pytest.raises(ConfigurationError, match="SQLite has no roles"):
        migrate.grants(service="app")
    assert migrate.grants("postgresql://db/app", service="app") == migrate.grants(
        "postgresql+asyncpg://db/app", service="app"
    )


def test_grants_may_be_given_again(deployed: Deployment) -> None:
    deployed.grant()


def test_the_reaper_reads_no_state_and_writes_none(deployed: Deployment) -> None:
    with deployed.connected("reaper") as connection:
        for statement in (
            "SELECT state FROM {}.sessions",
            "SELECT session_id FROM {}.sessions",
            "SELECT * FROM {}.items",
            "UPDATE {}.sessions SET state = '1'",
            "UPDATE {}.sessions SET expires_at = now()",
            "DELETE FROM {}.items",
            "INSERT INTO {}.deletions VALUES ('x', now())",
            "TRUNCATE {}.sessions",
            "CREATE TABLE {}.other (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.format(quoted(deployed.schema)).encode())


def test_a_role_that_only_reads_writes_nothing(deployed: Deployment) -> None:
    schema = quoted(deployed.schema)
    with deployed.connected("readonly") as connection:
        for table in ("sessions", "items", "deletions"):
            assert connection.execute(f"SELECT count(*) FROM {schema}.{table}".encode()).fetchone()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"DELETE FROM {schema}.{table}".encode())
