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
    """The switch that makes a test's storages fail. Until something is switched on, the storages work.

    A call is one call of a manager to its storage. An update may be two calls: a read and a write.
    """

    def __init__(self) -> None:
        self._failing = 0
        self._losing = 0
        self._down = False

    def fail_next(self, calls: int = 1) -> None:
        """Makes the next calls raise StorageUnavailableError. They do not reach the database, so nothing is written."""
        self._failing = calls

    def lose_next_answer(self, calls: int = 1) -> None:
        """Loses the answers of the next writes, after their commit. Reads work meanwhile.

        An update finds out that it landed, as after a lost connection, and returns its result. All other writes raise
        UpdateOutcomeUnknownError, as they do if a provider cannot find out whether they landed.
        """
        self._losing = calls

    @contextmanager
    def down(self) -> Generator[None, None, None]:
        """Makes all calls raise StorageUnavailableError until the block ends."""
        self._down = True
        try:
            yield
        finally:
            self._down = False

    async def call(self, name: str, function: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """Calls the storage, or fails if an outage is switched on."""
        if self._down or self._failing:
            self._failing = max(0, self._failing - 1)
            raise StorageUnavailableError(
                "the test switched the storage off (sessionstore_outage); nothing was written"
            )
        answer = await function(*args, **options)
        if self._losing and name not in _READS:
            self._losing -= 1
            raise UpdateOutcomeUnknownError(
                "the test lost the answer of the storage (sessionstore_outage); the write has landed"
            )
        return answer


def interruptible(storage: StorageProvider, outage: Outage) -> StorageProvider:
    """Returns the storage behind a switch.

    Args:
        storage: The storage.
        outage: The switch. Several storages may share one.
    """
    made: Any = _Interruptible  # type checkers do not see the methods that are set below
    return cast("StorageProvider", made(storage, outage))


class _Interruptible(StorageProvider):
    """A provider behind a switch."""

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


# The methods come from the protocols, so that a method which is added there later is not forgotten here.
for _name in (*dir(StorageProvider), *dir(Reshaping)):
    if not _name.startswith("_") and _name not in (*vars(_Interruptible), *_NO_CALLS):
        setattr(_Interruptible, _name, _through(_name))
