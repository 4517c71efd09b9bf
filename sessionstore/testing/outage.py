"""Outages for tests: a storage whose next call fails, or whose next answer is lost after the write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

from ..batching import Batching
from ..errors import StorageUnavailableError, UpdateOutcomeUnknownError
from ..storage import StorageProvider, Use
from ..storage.reshaping import Reshaping

_READS: Final = frozenset(
    {
        *("get", "get_group", "get_many", "exists", "exists_many", "touch", "touch_many", "find_many", "list"),
        *("list_logs", "list_logs_many", "count_expired", "stats", "check", "outdated", "outdated_items"),
    }
)
_NO_CALLS: Final = ("batching", "close")


class Outage:
    """The switch of the storages of a test. A call is what a manager asks of its storage; an update may be two calls.

    Without anything switched on, the storages work.
    """

    def __init__(self) -> None:
        self._failing = 0
        self._losing = 0
        self._down = False

    def fail_next(self, calls: int = 1) -> None:
        """The next calls raise StorageUnavailableError. They reach no database, so nothing is written."""
        self._failing = calls

    def lose_next_answer(self, calls: int = 1) -> None:
        """The answers of the next writes are lost after the commit. Reads work meanwhile.

        An update finds out that it landed, as it does when a connection is lost, and returns its result. All other
        writes raise UpdateOutcomeUnknownError, as they do when a provider cannot find out.
        """
        self._losing = calls

    @contextmanager
    def down(self) -> Generator[None, None, None]:
        """All calls raise StorageUnavailableError until the block ends."""
        self._down = True
        try:
            yield
        finally:
            self._down = False

    async def call(self, name: str, function: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """Asks the storage, unless the switch says otherwise."""
        if self._down or self._failing:
            self._failing = max(0, self._failing - 1)
            raise StorageUnavailableError("the storage is switched off by the test")
        answer = await function(*args, **options)
        if self._losing and name not in _READS:
            self._losing -= 1
            raise UpdateOutcomeUnknownError("the answer of the storage is lost by the test; the write is done")
        return answer


def interruptible(storage: StorageProvider, outage: Outage) -> StorageProvider:
    """Puts a storage behind a switch.

    Args:
        storage: The storage.
        outage: The switch. Several storages may share one.
    """
    made: Any = _Interruptible  # type checkers do not see the methods that are set below
    return cast("StorageProvider", made(storage, outage))


class _Interruptible(StorageProvider):
    """Another provider, behind the switch."""

    def __init__(self, storage: StorageProvider, outage: Outage) -> None:
        self.storage = storage
        self.outage = outage
        self.batching: Batching | None = storage.batching

    async def check(self, *, use: Use = "service") -> None:
        await self.outage.call("check", self.storage.check, use=use)

    async def close(self) -> None:
        await self.storage.close()


def _through(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: _Interruptible, *args: Any, **options: Any) -> Any:
        return await self.outage.call(name, getattr(self.storage, name), *args, **options)

    call.__name__ = name
    return call


# The calls are taken from the protocols, so that none is forgotten when they get another one.
for _name in (*dir(StorageProvider), *dir(Reshaping)):
    if not _name.startswith("_") and _name not in (*vars(_Interruptible), *_NO_CALLS):
        setattr(_Interruptible, _name, _through(_name))
