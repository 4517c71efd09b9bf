from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import PostgresServer
from sessionstore.testing.sqlite import sqlite_url
from sessionstore.testing.support.documents import draft, key
from tests.cli.conftest import Store, call, told
from tests.cli.terminal import run_at_terminal

HEAD = REVISIONS[-1]


@pytest.fixture
def storage_url(provider_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if provider_kind == "sqlite":
        yield sqlite_url(tmp_path / "new.db")
        return
    server: PostgresServer = request.getfixturevalue("server")
    with server.fresh_database() as database:
        yield database.url


def current(url: str, *options: str) -> str:
    outcome = call("migrate", "current", "--database-url", url, *options)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    return outcome.stdout.strip()


def test_tables_are_made_checked_and_taken_back(storage_url: str) -> None:
    options = ["--database-url", storage_url]
    assert current(storage_url) == "base"
    before = call("migrate", "check", *options)
    assert before.exit_code == 1
    assert "sessionstore migrate upgrade" in told(before)

    for _ in range(2):  # the second time there is nothing to do
        upgraded = call("migrate", "upgrade", *options)
        assert (upgraded.exit_code, upgraded.stdout) == (0, "")
        assert upgraded.stderr == f"the database is at revision {HEAD}\n"
    assert current(storage_url) == HEAD
    assert call("migrate", "check", *options).stdout == "ok\n"
    assert call("migrate", "downgrade", HEAD, *options).exit_code == 0

    for _ in range(2):
        downgraded = call("migrate", "downgrade", "base", "--yes", *options)
        assert (downgraded.exit_code, downgraded.stderr) == (0, "the database is at revision base\n")
    assert current(storage_url) == "base"


@pytest.mark.parametrize("provider_kind", ["postgresql"], indirect=True)
def test_each_schema_is_migrated_for_itself(storage_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("migrate", "upgrade", "--database-url", storage_url, "--schema", "chat").exit_code == 0
    assert (current(storage_url), current(storage_url, "--schema", "chat")) == ("base", HEAD)
    assert call("stats", "--database-url", storage_url, "--schema", "chat").exit_code == 0
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", storage_url)
    monkeypatch.setenv("SESSIONSTORE_SCHEMA", "chat")
    assert call("migrate", "current").stdout == f"{HEAD}\n"


def test_a_downgrade_to_base_without_a_terminal_or_yes_deletes_nothing(storage_url: str) -> None:
    migrate.upgrade(storage_url)
    outcome = call("migrate", "downgrade", "base", "--database-url", storage_url)
    assert outcome.exit_code == 2
    assert "--yes" in told(outcome)
    assert current(storage_url) == HEAD


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
def test_at_a_terminal_only_the_answer_yes_deletes(store: Store) -> None:
    migrate.upgrade(store.url)
    store.put(draft("kept"))
    command = ["migrate", "downgrade", "base", "--database-url", store.url]

    declined = run_at_terminal(*command, answer="n\n")
    assert (declined.status, declined.stdout) == (1, "")
    assert "deletes the tables with all sessions" in declined.screen
    assert store.ask(lambda storage: storage.exists(key("kept"))) is True

    assert run_at_terminal(*command, answer="yes\n").status == 0
    assert current(store.url) == "base"


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ["upgrade", "nope"],
        ["upgrade", "base"],
        ["downgrade"],
        ["downgrade", "head"],
        ["downgrade", "-1"],
        ["sql", "nope"],
        ["sql", "base"],
        ["sql", "--from", "nope"],
        ["sql", "--to", "-1"],
        ["sql", "0001", "--to", "0001"],
        ["sql", "--from", "head"],
        ["sql", "--to", "base"],
    ],
)
def test_only_known_revisions_are_taken(storage_url: str, arguments: list[str]) -> None:
    migrate.upgrade(storage_url)
    assert call("migrate", *arguments, "--database-url", storage_url).exit_code == 2
    assert call("migrate", *arguments[:1], "--", *arguments[1:]).exit_code == 2
    assert current(storage_url) == HEAD


def test_a_downgrade_does_not_go_up(storage_url: str) -> None:
    outcome = call("migrate", "downgrade", HEAD, "--database-url", storage_url)
    assert outcome.exit_code == 1
    assert f"at base, before {HEAD}" in told(outcome)


def test_the_sql_is_printed_and_not_run(storage_url: str) -> None:
    outcome = call("migrate", "sql", "--database-url", storage_url)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert "CREATE TABLE" in outcome.stdout
    assert current(storage_url) == "base"


def test_the_sql_run_by_hand_is_the_migration(tmp_path: Path) -> None:
    file = tmp_path / "by-hand.db"
    script = call("migrate", "sql", HEAD, "--database-url", sqlite_url(file)).stdout
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)
    assert call("migrate", "check", "--database-url", sqlite_url(file)).stdout == "ok\n"


def test_the_sql_goes_from_one_revision_to_another_and_back(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "by-hand.db")
    for start, goal in ("base", "0001"), ("0001", HEAD), (HEAD, "0001"), ("0001", "base"), ("base", HEAD):
        script = call("migrate", "sql", "--from", start, "--to", goal, "--database-url", url).stdout
        with closing(sqlite3.connect(tmp_path / "by-hand.db")) as connection:
            connection.executescript(script)
        assert current(url) == goal


def test_a_file_that_cannot_be_opened_ends_with_status_1() -> None:
    outcome = call("migrate", "upgrade", "--database-url", "sqlite:///no/such/directory.db")
    assert outcome.exit_code == 1
    assert "directory.db" not in told(outcome)


@pytest.mark.parametrize("provider_kind", ["postgresql"], indirect=True)
def test_an_upgrade_prints_what_it_waits_for_and_the_longest_wait(storage_url: str) -> None:
    with migrate.migrating(migrate.Target.of(storage_url, None)) as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        for _ in range(2):
            outcome = call("migrate", "upgrade", "--lock-timeout", "1.3s", "--database-url", storage_url)
            waiting, error = outcome.stderr.splitlines()
            assert outcome.exit_code == 1
            assert waiting.startswith(f"waiting for another migration of schema 'sessionstore': process {pid} of role ")
            assert error.startswith(
                "error: a migration waited 1.3s for a lock in schema 'sessionstore', held by process "
            )
    assert call("migrate", "upgrade", "--database-url", storage_url).exit_code == 0


@pytest.mark.parametrize("provider_kind", ["postgresql"], indirect=True)
def test_the_cause_of_an_error_is_printed(storage_url: str) -> None:
    missing = storage_url.replace("/sessionstore_test_", "/missing_")
    for command in ("upgrade", "current", "check"):
        outcome = call("migrate", command, "--database-url", missing)
        assert 'database "missing_' in told(outcome)


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("storage_url")
def test_the_error_of_a_file_that_cannot_be_made_names_its_directory(tmp_path: Path) -> None:
    for command in ("upgrade", "current", "check"):
        outcome = call("migrate", command, "--database-url", sqlite_url(tmp_path / "missing" / "deeper" / "new.db"))
        assert f"the directory '{tmp_path}/missing' of the SQLite file does not exist" in told(outcome)


def test_the_default_file_is_named(tmp_path: Path) -> None:
    place = f"the SQLite file '{tmp_path}/sessionstore.db'"
    assert f"{place} has no sessionstore tables" in told(call("migrate", "check"))
    assert call("migrate", "upgrade").stderr == f"{place} is at revision {HEAD}\n"
