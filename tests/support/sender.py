"""What a combiner sends to: it notes every batch, and holds it until the test lets it go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeAlias

from sessionstore.concurrency.call import Batch, Call
from sessionstore.concurrency.combine import Combiner

Asked: TypeAlias = dict[str, list[str]]
"""The requests of a batch by their keys."""


class Flight:
    """A batch under way.

    Attributes:
        asked: What is in it.
        batch: The batch itself.
        task: In which task it goes.
    """

    def __init__(self, batch: Batch[str, str, Any]) -> None:
        self.batch = batch
        self.asked: Asked = {key: [call.request for call in calls] for key, calls in batch.items()}
        self.task = asyncio.current_task()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def calls(self) -> Sequence[Call[str, Any]]:
        return [call for calls in self.batch.values() for call in calls]

    def land(self) -> None:
        """Lets it go; who has no answer yet is told his own request."""
        for call in self.calls:
            call.answer(call.request)
        self._over.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Has it raise."""
        self._over.set_exception(error)

    async def over(self) -> None:
        await self._over


class Sender:
    """Holds batches.

    Attributes:
        flights: All batches, in the order in which they went.
        most: How many were under way at once.
    """

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self.most = 0
        self._under_way: list[Flight] = []

    async def __call__(self, batch: Batch[str, str, Any]) -> None:
        flight = Flight(batch)
        self.flights.append(flight)
        self._under_way.append(flight)
        self.most = max(self.most, len(self._under_way))
        try:
            await flight.over()
        finally:
            self._under_way.remove(flight)

    @property
    def asked(self) -> list[Asked]:
        return [flight.asked for flight in self.flights]

    @property
    def under_way(self) -> list[Asked]:
        return [flight.asked for flight in self._under_way]

    async def land(self) -> None:
        """Lets all go that are under way now, and those depart that can."""
        for flight in tuple(self._under_way):
            flight.land()
        await turns()

    async def land_all(self) -> None:
        """Lets all go, also those that only then depart."""
        while self._under_way:
            await self.land()


def combiner(
    sender: Sender, *, size: int = 10, concurrency: int = 1, min_parallel: int = 4, alone: bool = False
) -> Combiner[str, str, Any]:
    return Combiner(sender, size=size, concurrency=concurrency, min_parallel=min_parallel, alone=alone)


async def begun(*calls: Awaitable[Any]) -> list[asyncio.Task[Any]]:
    """The calls as tasks that have come as far as they can."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await turns()
    return tasks


async def ends(tasks: Iterable[asyncio.Task[Any]]) -> list[Any]:
    """What the calls return or raise."""
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def turns(count: int = 8) -> None:
    """Lets everybody go on for so long that nobody can who does not wait for the test."""
    for _ in range(count):
        await asyncio.sleep(0)
