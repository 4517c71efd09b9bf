"""Runs statements: adds the time, halves a batch that is too large for the database, and checks returned keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from math import inf
from typing import Any, Final, TypeVar

from ....errors import StorageError
from ... import Clock, Key
from ...records import Use, check_clock, time_of
from ..connections.gateway import Gateway
from ..connections.lease import Lease
from ..drivers.driver import Row
from ..drivers.prepared import Prepared
from ..statements.compiled import Pair
from ..statements.fields import Fields, packed
from ..statements.rows import key_of
from .answers import not_asked_for

T = TypeVar("T")

_LONG: Final = 60
"""The time limit of statements without a batch, as a multiple of the usual one. They may read or write many rows."""

# The beginnings of the codes of errors that a smaller batch may avoid: program_limit_exceeded and its class,
# configuration_limit_exceeded (temp_file_limit), out_of_memory and query_canceled.
_TOO_MUCH: Final = ("54", "53400", "53200", "57014")


class Fetching:
    """Runs statements.

    Args:
        gateway: Runs operations on the database's connections.
        clock: Returns the time that statements use; None: statements read the database's clock.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None) -> None:
        self._gateway = gateway
        check_clock(clock)
        self._clock = clock

    async def rows(
        self, statement: Prepared, params: Fields, *, writing: bool, use: Use | None = None
    ) -> Sequence[Row]:
        """Runs a statement that has no batch: a page, a count, or a deletion of many rows; see Gateway.run()."""
        bound = self._dated(params)
        return await self._gateway.run(
            lambda lease: lease.fetch(statement, bound), writing=writing, statements=_LONG, use=use
        )

    async def batch(
        self,
        pair: Pair,
        fields: Iterable[Fields],
        *,
        writing: bool,
        keyed: bool = True,
        divisible: bool = True,
        access: bool = False,
        shared: Fields | None = None,
        seconds: float = inf,
        unless: Callable[[], bool] | None = None,
    ) -> Sequence[Row]:
        """Runs a statement on a batch.

        Args:
            pair: The statement.
            fields: The batch.
            writing: Whether the statement writes.
            keyed: Whether the returned rows begin with keys, which must be keys of the batch.
            divisible: Whether to try the halves of the batch if the database refuses the whole for its size. The
                first half may have been written when the second one fails.
            access: Whether the statement writes for the sake of a read, see Gateway.run().
            shared: Parameters that all rows of the batch have in common.
            seconds: The time limit, unless the time limit of all statements is lower.
            unless: Called once there is a connection. If it returns True, nothing is run and no rows are returned.

        Raises:
            StorageError: The database refused the batch, or a single row of it.
        """
        given = list(fields)

        async def fetch(part: Sequence[Fields]) -> Sequence[Row]:
            statement, bound = self.bound(pair, part)
            if shared is not None:
                bound |= shared

            def operation(lease: Lease) -> Coroutine[Any, Any, Sequence[Row]]:
                return _nothing() if unless is not None and unless() else lease.fetch(statement, bound)

            rows = await self._gateway.run(operation, writing=writing, access=access, at_most=seconds)
            if keyed:
                check_keys(rows, part)
            return rows

        return await in_halves(given, fetch, divisible=divisible) if given else ()

    def bound(self, pair: Pair, fields: Iterable[Fields], now: datetime | None = None) -> tuple[Prepared, Fields]:
        """Returns the statement for the size of the batch, and its parameters.

        Args:
            pair: The statement.
            fields: The batch.
            now: The time of the statement; None: the current time.
        """
        batch = list(fields)
        if len(batch) == 1:
            return pair.one, self._dated(batch[0], now)
        return pair.many, self._dated({"batch": packed(batch)}, now)

    def _dated(self, params: Fields, now: datetime | None = None) -> Fields:
        return params | {"now": time_of(self._clock) if now is None and self._clock is not None else now}


async def in_halves(
    given: Sequence[T], fetch: Callable[[Sequence[T]], Awaitable[Sequence[Row]]], *, divisible: bool = True
) -> Sequence[Row]:
    """Fetches the rows of a batch, or of its halves if the database refuses the whole for its size."""
    try:
        return await fetch(given)
    except StorageError as error:
        if len(given) == 1 or not divisible or not (error.code or "").startswith(_TOO_MUCH):
            raise
    half = len(given) // 2
    return [*await in_halves(given[:half], fetch), *await in_halves(given[half:], fetch)]


async def _nothing() -> Sequence[Row]:
    return ()


def check_keys(rows: Sequence[Row], asked: Sequence[Fields]) -> None:
    """Checks that the key of each row was asked for.

    Raises:
        StorageError: A row has another key.
    """
    if not rows:
        return
    keys = {Key(fields["namespace"], fields["session_id"]) for fields in asked}
    for row in rows:
        if len(row) < 2 or key_of(row) not in keys:
            raise not_asked_for()
