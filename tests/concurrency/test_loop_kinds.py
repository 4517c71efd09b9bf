"""Batches of calls on event loops of every kind: asyncio, eager tasks, uvloop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sessionstore import MemoryStorageProvider, SessionManager
from sessionstore.storage import Document, Key, Summary, Write
from sessionstore.testing.support.documents import append, increment, new_chat

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}

if sys.platform != "win32":
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop

if sys.version_info >= (3, 12):

    def _eager() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    LOOPS["eager tasks"] = _eager


class Slow(MemoryStorageProvider):
    """A storage that lets other tasks run before it answers, as a database does."""

    async def get_many(self, keys: Sequence[Key], **options: Any) -> Sequence[Document | None]:
        await asyncio.sleep(0)
        return await super().get_many(keys, **options)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        await asyncio.sleep(0)
        return await super().update_many(writes)


@pytest.mark.parametrize("make", LOOPS.values(), ids=list(LOOPS))
def test_no_update_is_lost_and_cancelled_callers_disturb_no_other(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    storage = Slow()

    async def main(run: int) -> None:
        desk = SessionManager(new_chat, storage, "chat")
        for name in "ab":
            await desk.create_session(name)
        tasks = [asyncio.ensure_future(desk.update_session("ab"[n % 2], append(f"{run} {n}"))) for n in range(60)]
        for n in range(0, 60, 7):
            await asyncio.sleep(0)
            tasks[n].cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        landed = [result for result in told if not isinstance(result, BaseException)]
        assert len(landed) >= 51
        turns = {name: (await desk.get_session(name)).unwrap()["turns"] for name in "ab"}
        for result in landed:
            assert result.unwrap()["turns"][-1] in turns[result.session_id]
        assert len({turn for said in turns.values() for turn in said}) == sum(map(len, turns.values()))

    for run in range(2):  # one loop after the other, on one storage
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(main(run))


def test_loops_in_several_threads_at_once_lose_no_update() -> None:
    storages = [Slow() for _ in range(2)]
    shared = Slow()

    async def main(own: Slow) -> int:
        desks = [SessionManager(new_chat, storage, "chat") for storage in (own, shared)]
        for desk in desks:
            await desk.create_session("s")
        await asyncio.gather(*(desk.update_session("s", increment) for desk in desks for _ in range(50)))
        return int((await desks[0].get_session("s")).unwrap()["n"])

    async def both() -> list[int]:
        threads = [asyncio.to_thread(lambda own: asyncio.run(main(own)), own) for own in storages]
        return list(await asyncio.gather(*threads))

    assert asyncio.run(both()) == [50, 50]
    assert '"n":100' in shared._documents[Key("chat", "s")].state
