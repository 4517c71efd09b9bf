"""`sessionstore migrate check --json`, as a readiness probe runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database, PostgresServer
from tests.cli.conftest import call, told
from tests.support.bystander import ask
from tests.support.roles import Deployment, deployment

HEAD = REVISIONS[-1]


@pytest.fixture(scope="module")
def deployed(server: PostgresServer) -> Iterator[Deployment]:
    with deployment(server, schema="Our chats") as made:
        yield made


def checked(url: str, *options: str) -> tuple[int, dict[str, Any]]:
    outcome = call("migrate", "check", "--json", "--database-url", url, *options)
    assert outcome.stderr == ""
    return outcome.exit_code, json.loads(outcome.stdout)


@pytest.mark.parametrize("use", ["service", "reaper", "readonly"])
def test_tables_that_fit_pass_the_check_for_each_role(deployed: Deployment, use: str) -> None:
    code, found = checked(deployed.url(use), "--schema", deployed.schema, "--use", use)
    assert (code, found) == (0, {"ok": True, "found": HEAD, "needed": HEAD, "command": None, "problems": []})


def test_a_role_for_another_use_is_told_what_it_lacks(deployed: Deployment) -> None:
    code, found = checked(deployed.url("readonly"), "--schema", deployed.schema)
    assert (code, found["ok"], found["found"]) == (1, False, None)
    assert found["command"].startswith('GRANT INSERT, UPDATE, DELETE ON TABLE "Our chats".sessions TO "readonly ""of""')
    deployed.execute(found["command"].replace("{", "{{"), use="owner")
    code, found = checked(deployed.url("readonly"), "--schema", deployed.schema)
    assert (code, found["ok"]) == (0, True)
    assert call("migrate", "check", "--use", "owner", "--database-url", deployed.url("owner")).exit_code == 2


def test_a_revision_that_the_role_may_not_read_does_not_count_as_missing_tables(deployed: Deployment) -> None:
    deployed.execute("REVOKE ALL ON {schema}.sessionstore_version FROM {reaper}")
    outcome = call(
        "migrate", "check", "--use", "reaper", "--database-url", deployed.url("reaper"), "--schema", deployed.schema
    )
    assert (outcome.exit_code, outcome.stdout) == (1, "")
    assert 'GRANT SELECT ON TABLE "Our chats".sessionstore_version TO' in told(outcome)
    deployed.grant()


def test_a_pending_revision_is_found_with_the_command(postgres: Database) -> None:
    migrate.downgrade(postgres.url, revision=REVISIONS[0])
    code, found = checked(postgres.url)
    assert (code, found["ok"], found["found"], found["needed"]) == (1, False, REVISIONS[0], HEAD)
    assert found["command"] == "sessionstore migrate upgrade"
    assert len(found["problems"]) == 1
    outcome = call("migrate", "check", "--database-url", postgres.url)
    assert (outcome.exit_code, f"wants revision {HEAD}; run `sessionstore migrate upgrade`" in told(outcome)) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("ALTER TABLE sessionstore.sessions DROP COLUMN origin", "missing column: sessions.origin"),
        ("ALTER TABLE sessionstore.items ADD COLUMN mine text", "unexpected column: items.mine"),
        ("ALTER TABLE sessionstore.sessions ALTER COLUMN owner_id TYPE varchar(9)", "changed type: sessions.owner_id"),
        ("DROP INDEX sessionstore.ix_sessions_expires_at", "missing index: ix_sessions_expires_at"),
        ("DROP TABLE sessionstore.deletions", "missing table: deletions"),
        (
            "DROP TRIGGER sessions_delete_items ON sessionstore.sessions",
            "the trigger 'sessions_delete_items' of 'sessions' is missing or disabled",
        ),
    ],
)
def test_the_check_names_a_difference_of_the_tables(postgres: Database, statement: str, problem: str) -> None:
    ask(postgres, statement)
    code, found = checked(postgres.url)
    assert (code, found["ok"], found["found"], found["command"]) == (1, False, HEAD, None)
    assert problem in found["problems"]
    assert problem in told(call("migrate", "check", "--database-url", postgres.url))


def test_a_database_that_is_away_is_not_ready() -> None:
    code, found = checked("postgresql://app@127.0.0.1:1/app")
    assert (code, found["ok"], found["found"], found["needed"]) == (1, False, None, HEAD)
    assert "could not connect" in found["problems"][0]
