from __future__ import annotations

from sessionstore import migrate
from tests.cli.conftest import call, told


def test_grants_are_printed_without_a_database() -> None:
    printed = call("migrate", "grants", "--service", "app", "--reaper", "app reaper", "--schema", "My chats")
    assert (printed.exit_code, printed.stderr) == (0, "")
    assert printed.stdout == migrate.grants(service="app", reaper="app reaper", schema="My chats")
    url = "postgresql://owner@nowhere.invalid/app"
    assert call("migrate", "grants", "--readonly", "r", "--database-url", url).stdout == migrate.grants(readonly="r")


def test_grants_without_a_role_end_with_status_2() -> None:
    outcome = call("migrate", "grants")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "--service, --reaper or --readonly" in told(outcome)
