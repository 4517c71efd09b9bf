"""Commands by the roles that they are for, which were granted no more than `migrate grants` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import PostgresServer
from sessionstore.testing.support.documents import draft
from tests.cli.conftest import Store, call, told
from tests.support.roles import NO_DDL, Deployment, deployment


@pytest.fixture(scope="module")
def deployed(server: PostgresServer) -> Iterator[Deployment]:
    with deployment(server) as made:
        made.execute(*NO_DDL)
        Store(made.url("service")).put(draft("live"))
        Store(made.url("service")).put_expired(draft("dead"))
        yield made


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (("list",), "live"),
        (("show", "live", "--namespace", "chat"), "version"),
        (("stats", "--json"), '"live":1'),
        (("migrate", "current"), REVISIONS[-1]),
        (("reap", "--dry-run", "--json"), '"remaining":1'),
    ],
)
def test_a_role_that_only_reads_may_look(deployed: Deployment, command: tuple[str, ...], shown: str) -> None:
    outcome = call(*command, "--database-url", deployed.url("readonly"))
    assert (outcome.exit_code, shown in outcome.stdout.replace(" ", "")) == (0, True), outcome.output


def test_a_role_that_only_reads_deletes_nothing(deployed: Deployment) -> None:
    outcome = call("delete", "live", "--namespace", "chat", "--database-url", deployed.url("readonly"))
    assert outcome.exit_code == 1
    assert "`GRANT INSERT, UPDATE, DELETE ON TABLE sessionstore.sessions TO" in told(outcome)


def test_the_reaper_reaps(deployed: Deployment) -> None:
    url = deployed.url("reaper")
    assert call("migrate", "current", "--database-url", url).stdout.strip() == REVISIONS[-1]
    outcome = call("reap", "--json", "--database-url", url)
    assert (outcome.exit_code, json.loads(outcome.stdout)["deleted"]) == (0, 1)
    assert call("stats", "--json", "--database-url", deployed.url("readonly")).stdout.count('"expired": 0') == 1
    assert call("list", "--database-url", url).exit_code == 1
