"""The plans of statements that read items."""

from __future__ import annotations

import pytest

from sessionstore import open_storage
from sessionstore.storage import Window
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import key, put
from sessionstore.testing.support.logs import positions

from ....support.bystander import ask, until_alone
from ....support.databases import driven

_ITEMS = """
    INSERT INTO sessionstore.items (namespace, session_id, log, position, item, item_id, created_at)
    SELECT 'chat', {session}, '', n, '1', {session} || ':' || n, now() FROM generate_series(1, {count}) AS n
"""


_READ = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'items'"


@pytest.mark.parametrize(
    ("window", "found"),
    [
        (Window(limit=50), [*range(19_951, 20_001)]),
        (Window(limit=50, before=10_001), [*range(9_951, 10_001)]),
        (Window(limit=50, newest=False, after=10_000), [*range(10_001, 10_051)]),
        (Window(ids=("s:7", "s:10000")), [7, 10_000]),
    ],
    ids=["newest", "before", "after", "ids"],
)
async def test_a_window_of_a_long_session_reads_only_its_items(
    postgres: Database, driver: str, window: Window, found: list[int]
) -> None:
    ask(postgres, _ITEMS.format(session="n::text", count=5_000))
    ask(postgres, "VACUUM (ANALYZE) sessionstore.items")  # the planner takes all sessions for short ones
    ask(postgres, _ITEMS.format(session="'s'", count=20_000))
    await until_alone(postgres)
    ((before,),) = ask(postgres, _READ)
    async with open_storage(driven(postgres.url, driver)) as storage:
        await put(storage, "s")
        for _ in range(10):  # so that the server also makes a generic plan
            document = await storage.get(key(), touch=False, window=window)
            assert document is not None
            assert positions(document.items) == found
    await until_alone(postgres)
    ((after,),) = ask(postgres, _READ)
    assert after - before <= 10 * len(found)


async def test_the_logs_of_a_long_session_are_named_without_its_items(postgres: Database, driver: str) -> None:
    ask(postgres, _ITEMS.format(session="n::text", count=5_000))
    ask(postgres, "VACUUM (ANALYZE) sessionstore.items")
    ask(postgres, _ITEMS.format(session="'s'", count=20_000))
    await until_alone(postgres)
    ((before,),) = ask(postgres, _READ)
    async with open_storage(driven(postgres.url, driver)) as storage:
        await put(storage, "s")
        for _ in range(10):
            found = await storage.list_logs(key())
            assert found is not None
            assert list(found.names) == [""]
    await until_alone(postgres)
    ((after,),) = ask(postgres, _READ)
    assert after - before <= 10 * 2
