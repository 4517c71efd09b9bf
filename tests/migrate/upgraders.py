"""Processes that upgrade one database at the same moment: python -m tests.migrate.upgraders URL COUNT ROUNDS.

Before each round the tables are taken back. Ends with status 0 if one process of each round made the tables, and the
others found them made.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier

from sqlalchemy import Engine, event

from sessionstore import migrate

_FOUND = 0
_MADE = 10


def upgrade(url: str, together: Barrier) -> None:
    statements: list[str] = []
    event.listen(Engine, "before_cursor_execute", lambda *given: statements.append(given[2].strip()))
    together.wait(20)
    migrate.upgrade(url)
    made = sum(statement.startswith("CREATE TABLE") and "sessions" in statement for statement in statements)
    sys.exit(_MADE if made else _FOUND)


def main(url: str, count: int, rounds: int) -> int:
    # Forked, so that they start where everything is imported and none is done before the others begin.
    forking = multiprocessing.get_context("fork")
    for _ in range(rounds):
        if migrate.current(url) is not None:
            migrate.downgrade(url, revision="base")
        together = forking.Barrier(count)
        processes = [forking.Process(target=upgrade, args=(url, together)) for _ in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        ended = sorted(process.exitcode or 0 for process in processes)
        if ended != [_FOUND] * (count - 1) + [_MADE]:
            print(ended)  # noqa: T201  # for the test
            return 1
        migrate.check(url)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
