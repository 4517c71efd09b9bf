"""How statements are run: with their time, in parts where the whole is too much, and with a look at the keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ....errors import StorageError
from ... import Clock, Key
from ..connections.gateway import Gateway
from ..drivers.driver import Row
from ..drivers.prepared import Prepared
from ..statements.compiled import Pair
from ..statements.rows import Fields, key_of, packed
from .answers import not_asked_for

_LONG: Final = 60
"""How many times the bound of a statement those may take that read or write many rows."""

# program_limit_exceeded and its class; configuration_limit_exceeded (temp_file_limit); out_of_memory; query_canceled
_TOO_MUCH: Final = ("54", "53400", "53200", "57014")


class Fetching:
    """Runs statements.

    Args:
        gateway: The way to the database.
        clock: Gives the time to the statements; None: they ask the database's clock.
    """

    def __init__(self, gateway: Gateway, clock: Clock | None) -> None:
        self._gateway = gateway
        self._clock = clock

    async def rows(self, statement: Prepared, params: Fields, *, writing: bool) -> Sequence[Row]:
        """Runs a statement that has no batch."""
        bound = self._dated(params)
        # Pages, counts and batches of rows: the statements of operators and of the reaper.
        return await self._gateway.run(
            lambda lease: statement.fetch(lease.driver, bound), writing=writing, statements=_LONG
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
    ) -> Sequence[Row]:
        """Runs a statement on a batch.

        Args:
            pair: The statement.
            fields: The batch.
            writing: Whether it writes.
            keyed: Whether its rows begin with keys, which then have to be among those of the batch.
            divisible: Whether halves may be tried where the database refuses the batch for its size. Then a half may
                have been done when the other one fails.
            access: Whether it writes for the sake of a read, see Gateway.run().

        Raises:
            StorageError: It was refused, also for a single row.
        """
        given = list(fields)
        if not given:
            return ()
        statement, bound = self.bound(pair, given)
        try:
            rows = await self._gateway.run(
                lambda lease: statement.fetch(lease.driver, bound), writing=writing, access=access
            )
        except StorageError as error:
            if len(given) == 1 or not divisible or not (error.code or "").startswith(_TOO_MUCH):
                raise
        else:
            if keyed:
                check_keys(rows, given)
            return rows
        half = len(given) // 2
        first = await self.batch(pair, given[:half], writing=writing, keyed=keyed, access=access)
        return [*first, *await self.batch(pair, given[half:], writing=writing, keyed=keyed, access=access)]

    def bound(self, pair: Pair, fields: Iterable[Fields]) -> tuple[Prepared, Fields]:
        """The statement for a single row, or the one for many, with its parameters."""
        batch = list(fields)
        if len(batch) == 1:
            return pair.one, self._dated(batch[0])
        return pair.many, self._dated({"batch": packed(batch)})

    def _dated(self, params: Fields) -> Fields:
        return params | {"now": None if self._clock is None else self._clock()}


def check_keys(rows: Sequence[Row], asked: Sequence[Fields]) -> None:
    """Raises StorageError where the key of a row is none of those asked for."""
    if not rows:
        return
    keys = {Key(fields["namespace"], fields["session_id"]) for fields in asked}
    for row in rows:
        if len(row) < 2 or key_of(row) not in keys:
            raise not_asked_for()
