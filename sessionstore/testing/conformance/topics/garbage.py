"""Calls leave no reference cycles behind."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

from sessionstore import SessionManager

from ...support.documents import Chat, increment


async def test_calls_leave_nothing_to_the_cycle_collector(chats: SessionManager[Chat]) -> None:
    names = [f"s{n}" for n in range(8)]

    async def all_calls(name: str) -> None:
        await chats.create_session(name)
        await chats.get_session(name)
        for n in range(4):
            await chats.update_session(name, increment, idempotency_key=f"{n}" if n % 2 else None)
        await chats.get_session(name)
        await chats.delete_session(name)

    # Two calls for each session, so that updates of one session go together.
    await asyncio.gather(*map(all_calls, names * 2))
    gc.collect()
    gc.disable()
    try:
        await asyncio.gather(*map(all_calls, names * 2))
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        ours = Counter(
            type(found).__name__ for found in gc.garbage if type(found).__module__.partition(".")[0] == "sessionstore"
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not ours
