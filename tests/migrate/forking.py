"""Forks in the middle of a migration of another thread: python -m tests.migrate.forking URL OTHER_URL SCHEMA.

The thread migrates the first database. The child migrates the second one, while its parent is not done.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback

from sqlalchemy import Engine, event

from sessionstore import migrate

_PATIENCE = 30.0


def main(url: str, other: str, schema: str) -> None:
    parent = os.getpid()
    under_way, go_on = threading.Event(), threading.Event()

    @event.listens_for(Engine, "before_cursor_execute")
    def stop(_: object, __: object, statement: str, *___: object) -> None:
        if os.getpid() == parent and "CREATE TABLE" in statement:
            under_way.set()
            go_on.wait(_PATIENCE)

    migrating = threading.Thread(target=lambda: migrate.upgrade(url))
    migrating.start()
    assert under_way.wait(_PATIENCE)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            migrate.upgrade(other, schema=schema)
            migrate.check(other, schema=schema)
            status = 0
        except BaseException:  # noqa: BLE001  # it is said, and the status tells
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    go_on.set()
    migrating.join()
    migrate.check(url)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
