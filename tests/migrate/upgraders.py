"""Processes that upgrade one database at the same moment: python -m tests.migrate.upgraders URL COUNT."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier

from sessionstore import migrate


def upgrade(url: str, together: Barrier) -> None:
    together.wait(20)
    migrate.upgrade(url)


def main(url: str, count: int) -> int:
    # Forked, so that they start where everything is imported and none is done before the others begin.
    forking = multiprocessing.get_context("fork")
    together = forking.Barrier(count)
    processes = [forking.Process(target=upgrade, args=(url, together)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(process.exitcode != 0 for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
