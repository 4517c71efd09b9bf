"""Attempts a batch of requests until each has its result. Shared by creations.py, deletions.py and settings.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeAlias, TypeVar

from ....concurrency.retry_window import until_told
from ... import Key
from ..statements.compiled import Statements
from .fetching import Fetching
from .reads import Reads
from .rounds import Rounds

P = TypeVar("P")
R = TypeVar("R")

Told: TypeAlias = Callable[[Key, R], None]
"""Called with the result of a key, as soon as the result is known."""

Wanted: TypeAlias = Callable[[Key], bool]
"""Returns whether a caller still waits for a key."""


class Attempts(ABC, Generic[P, R]):
    """The requests of one call, or of several concurrent calls.

    Args:
        pending: What to send for each key.
        statements: The statements of the storage.
        fetching: Runs the statements.
        reads: Reads sessions, and finds the rows that other transactions hold.
        told: Called with the result of each key. None: the requests are of one call, which gets its results at the end.
        wanted: Keys without a waiting caller are dropped. None: keys are never dropped.
    """

    def __init__(
        self,
        pending: Mapping[Key, P],
        statements: Statements,
        fetching: Fetching,
        reads: Reads,
        told: Told[R] | None,
        wanted: Wanted | None,
    ) -> None:
        self._pending = dict(pending)
        self._results: dict[Key, R] = {}
        self._statements = statements
        self._fetching = fetching
        self._reads = reads
        self._rounds = Rounds(reads.held)
        self._told = told
        self._wanted = wanted
        self._free: Collection[Key] | None = None

    async def run(self) -> None:
        """Attempts the requests until each has its result, and calls ``told`` with each."""
        await until_told(self._attempt)

    @abstractmethod
    async def _attempt(self) -> None:
        """Attempts the pending requests; raises UpdateOutcomeUnknownError if the answer was lost."""

    @property
    def _one_call(self) -> bool:
        return self._told is None

    @property
    def _unwritten(self) -> bool:
        """Whether nothing was written for the callers that still wait, as far as the answers show."""
        return not (self._one_call and self._results)

    def _settle(self, results: Mapping[Key, R]) -> None:
        self._results |= results
        for key, result in results.items():
            self._pending.pop(key, None)
            if self._told is not None:
                self._told(key, result)

    async def _next(self) -> Mapping[Key, P]:
        """Returns the requests to send next, without those whose rows another transaction was seen to hold.

        If all rows are held, waits until one is free. Empty: no request is left, or no caller waits for one.
        """
        while self._want():
            if sending := {key: it for key, it in self._pending.items() if self._free is None or key in self._free}:
                return sending
            self._free = await self._rounds.until_free(self._pending, unwritten=self._unwritten)
        return {}

    def _want(self) -> bool:
        """Drops the keys that no caller waits for any more, and returns whether any key is left."""
        if self._wanted is not None:
            self._pending = {key: it for key, it in self._pending.items() if self._wanted(key)}
        return bool(self._pending)
