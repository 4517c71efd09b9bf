from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from sessionstore.testing.support.documents import draft
from tests.cli.conftest import Run, Store
from tests.cli.terminal import run_at_terminal

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def put_expired(store: Store, count: int, ago: timedelta = timedelta(days=1)) -> None:
    store.put_expired(*(draft(f"{ago}-{n}", ttl=MINUTE) for n in range(count)), ago=ago)


def line(text: str) -> dict[str, Any]:
    """The one line of JSON that there must be."""
    (only,) = text.splitlines()
    report = json.loads(only)
    assert report.pop("seconds") >= 0
    return dict(report)


def rows(store: Store) -> list[tuple[int, int]]:
    return [(stats.live, stats.expired) for stats in store.ask(lambda storage: storage.stats())]


def test_expired_sessions_are_deleted_and_reported_in_one_line(store: Store, run: Run) -> None:
    store.put(draft("live"), draft("immortal", ttl=None))
    put_expired(store, 7)
    outcome = run("reap", "--json", "--batch-size", "3")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert line(outcome.stdout) == {"deleted": 7, "batches": 3, "remaining": 0, "dry_run": False}
    assert rows(store) == [(2, 0)]
    assert line(run("reap", "--json").stdout) == {"deleted": 0, "batches": 1, "remaining": 0, "dry_run": False}


def test_a_dry_run_only_counts(store: Store, run: Run) -> None:
    put_expired(store, 2)
    outcome = run("reap", "--json", "--dry-run")
    assert line(outcome.stdout) == {"deleted": 0, "batches": 0, "remaining": 2, "dry_run": True}
    assert run("reap", "--dry-run").stdout == "2 expired sessions would be deleted\n"
    assert rows(store) == [(0, 2)]


def test_grace_keeps_sessions_that_expired_lately(store: Store, run: Run) -> None:
    put_expired(store, 3, ago=HOUR)
    put_expired(store, 2, ago=3 * HOUR)
    assert line(run("reap", "--json", "--grace", "1h30m").stdout)["deleted"] == 2
    assert rows(store) == [(0, 3)]
    assert line(run("reap", "--json", "--grace", "30").stdout)["deleted"] == 3


def test_rows_that_remain_when_the_time_is_up_are_no_failure(store: Store, run: Run) -> None:
    put_expired(store, 3)
    outcome = run("reap", "--batch-size", "1", "--max-seconds", "0.000001", "--pace", "0.1")
    assert outcome.exit_code == 0
    assert re.fullmatch(r"deleted 1 expired sessions in [\d.]+ s \(batches: 1\); 2 remain\n", outcome.stdout)


@pytest.mark.parametrize(
    "options",
    [
        ["--batch-size", "0"],
        ["--batch-size", "1000001"],
        ["--grace", "soon"],
        ["--grace", "400000d"],
        ["--max-seconds", "0"],
        ["--max-seconds", "-5"],
        ["--pace", "-1"],
        ["--pace", "nan"],
    ],
)
@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
def test_a_reaper_that_cannot_work_is_a_wrong_call(store: Store, run: Run, options: list[str]) -> None:
    put_expired(store, 1)
    outcome = run("reap", *options)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr
    assert rows(store) == [(0, 1)]


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
def test_a_terminal_shows_the_progress_of_the_reaper(store: Store) -> None:
    put_expired(store, 1200)
    seen = run_at_terminal("reap", "--json", "--batch-size", "100", "--database-url", store.url)
    assert seen.status == 0
    assert line(seen.stdout) == {"deleted": 1200, "batches": 13, "remaining": 0, "dry_run": False}
    assert "1,200 of 1,200 rows" in seen.screen
    assert "rows/s" in seen.screen
    assert "left" in seen.screen
