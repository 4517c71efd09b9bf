"""Updates of sessions under an optimistic lock, with or without items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ....errors import StorageError
from ... import Summary, Write
from ..drivers.driver import Row
from ..statements.compiled import Statements
from ..statements.fields import update_fields, write_fields
from ..statements.rows import key_of, written
from .changes import Changes
from .fetching import Fetching
from .landing import has_id_already, refusal_of


class Updates:
    """Updates sessions.

    Args:
        statements: The statements of the storage.
        fetching: Runs the statements.
        changes: Updates sessions in a transaction, if one statement cannot write their items.
    """

    def __init__(self, statements: Statements, fetching: Fetching, changes: Changes) -> None:
        self._statements = statements
        self._fetching = fetching
        self._changes = changes

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        """Implements StorageProvider.update_many()."""
        if not any(write.items for write in writes):
            # Not divisible: the update loop repeats a refused batch, and would write the first half twice.
            rows = await self._fetching.batch(
                self._statements.update, map(write_fields, writes), writing=True, divisible=False
            )
            return _written(writes, rows)
        if not self._statements.one_writer and all(write.keep is None for write in writes):
            try:
                rows = await self._fetching.batch(
                    self._statements.update_with_items, map(update_fields, writes), writing=True, divisible=False
                )
            except StorageError as error:
                if not has_id_already(error, *(write.items for write in writes)):
                    raise refusal_of(error) from error.__cause__
            else:
                return _written(writes, rows)
        landed = await self._changes.update(writes)
        return [landed.get(write.read.key) for write in writes]


def _written(writes: Sequence[Write], rows: Iterable[Row]) -> Sequence[Summary | None]:
    """Returns the summary after each write, from the returned rows; None: the write did not land."""
    landed = {key_of(row): row for row in rows}
    return [None if (row := landed.get(write.read.key)) is None else written(write, row) for write in writes]
