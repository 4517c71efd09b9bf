"""Kills a migration at each of its statements in turn: python -m tests.migrate.killing URL.

After each kill the tables are as they were before or after the migration, and the next migration starts from what it
finds. Prints how often each migration was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import pairwise

from sqlalchemy import Engine, event

from sessionstore import migrate
from sessionstore.storage.sql.tables import REVISIONS
from sessionstore.testing.postgres import Database

from .catalogue import postgresql_catalogue, sqlite_catalogue
from .rows import file_of, fill_table, revision_of, rows_of

_STEPS = ("base", *REVISIONS)


def go(url: str, start: str, end: str) -> None:
    """Migrates from one revision to another."""
    if _STEPS.index(end) > _STEPS.index(start):
        migrate.upgrade(url, revision=end)
    else:
        migrate.downgrade(url, revision=end)


def state_of(url: str) -> tuple[str, object, object]:
    """The revision, the tables and the rows. Without the table of versions, which may be there before the first."""
    if url.startswith("sqlite"):
        things: list[object] = [*sqlite_catalogue(file_of(url))]
    else:
        things = [thing for kind in postgresql_catalogue(Database(url)) for thing in kind]
    own = [thing for thing in things if "sessionstore_version" not in str(thing)]
    found = "base" if len(own) == len(things) else revision_of(url)
    return found, own, None if found == "base" else rows_of(url)


def killed(url: str, start: str, end: str, at: int) -> bool:
    """Migrates in a process of its own, which is killed before statement ``at``; False: the migration was over before.

    A commit is a statement too.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _kill_before(at)
            go(url, start, end)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the migration after the one that was killed at statement {at - 1} failed"
    return False


def _kill_before(at: int) -> None:
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def kill_everywhere(url: str, start: str, end: str) -> int:
    """Kills the migration at each of its statements, until one is done; how many were killed."""
    before = state_of(url)
    kills = 0
    while killed(url, start, end, kills + 1):
        kills += 1
        if (seen := state_of(url)) != before:
            # It was killed after its last commit.
            assert seen[0] == end, f"killed at statement {kills}: {seen} instead of {before}"
            go(url, start, end)
            break
    return kills


def main(url: str) -> None:
    migrate.upgrade(url, revision=REVISIONS[0])
    fill_table(url)
    states = {REVISIONS[0]: state_of(url)}
    for start, end in [*pairwise(REVISIONS), *pairwise([*reversed(REVISIONS), "base"]), ("base", REVISIONS[0])]:
        kills = kill_everywhere(url, start, end)
        print(f"{start} to {end}: killed {kills} times")  # noqa: T201  # for the test
        if start == "base":
            fill_table(url)
        assert (seen := state_of(url)) == states.setdefault(end, seen)


if __name__ == "__main__":
    main(sys.argv[1])
