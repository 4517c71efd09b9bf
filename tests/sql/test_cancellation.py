from __future__ import annotations

from pathlib import Path

import pytest

from sessionstore import migrate

from .processes import python

# The turn of the event loop in which the call is cancelled is the argument: before, while and after it connects.
_PROGRAM = """
import asyncio, sys
from sessionstore import SessionManager, open_storage

async def main(url, turns):
    async with open_storage(url) as storage:
        sessions = SessionManager(lambda session_id: {}, storage)
        call = asyncio.create_task(sessions.create_session("s"))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        ended = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError) or ended[0].success

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("turns", range(10))
async def test_a_first_call_on_sqlite_that_is_cancelled_leaves_no_thread_behind(tmp_path: Path, turns: int) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    migrate.upgrade(url)
    assert await python("-W", "error", "-c", _PROGRAM, url, str(turns)) == (0, "")
