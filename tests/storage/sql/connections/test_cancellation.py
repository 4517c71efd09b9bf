from __future__ import annotations

from pathlib import Path

from sessionstore import migrate
from tests.support.processes import python

# Cancelled in each turn of the event loop: before, while and after it connects.
_PROGRAM = """
import asyncio, sys
from sessionstore import SessionManager, open_storage

async def main(url, turns):
    async with open_storage(url) as storage:
        sessions = SessionManager(lambda session_id: {}, storage)
        call = asyncio.create_task(sessions.get_session("s"))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        ended = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError) or not ended[0].success

for turns in range(20):
    asyncio.run(main(sys.argv[1], turns))
"""


async def test_a_first_call_on_sqlite_that_is_cancelled_leaves_no_thread_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    migrate.upgrade(url)
    assert await python("-W", "error", "-c", _PROGRAM, url) == (0, "")
