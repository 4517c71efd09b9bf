"""Updates under row locks, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ....errors import SessionHeldError, StorageUnavailableError
from ... import Apply, Key, Summary, Write
from ..connections.gateway import Gateway
from ..connections.lease import Lease
from ..connections.limits import LOCKING_SECONDS
from ..drivers.driver import Row
from ..faults import LOCK_NOT_AVAILABLE
from ..statements.fields import unique
from ..statements.rows import document_of, key_of, read_under_lock, summary_of
from .answers import not_kept
from .fetching import Fetching, check_keys
from .placing import Placing, changes_of


class LockedUpdates:
    """Reads, applies and writes under row locks.

    Args:
        gateway: Runs operations on the database's connections.
        fetching: Chooses the statements and their parameters.
    """

    def __init__(self, gateway: Gateway, fetching: Fetching) -> None:
        self._gateway = gateway
        self._fetching = fetching
        self._statements = gateway.statements
        self._placing = Placing(gateway.statements, fetching)

    async def update(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        """Implements StorageProvider.update_locked_many()."""

        async def operation(lease: Lease) -> dict[Key, Summary] | Exception:
            async with self._gateway.transaction(lease):
                rows = await self._read(keys, lease)
                try:
                    writes = [write for write in map(apply, map(document_of, rows)) if write is not None]
                except Exception as error:  # noqa: BLE001
                    # The caller's own error. It is returned, because a raised error would be taken for the database's.
                    return error
                return await self._write(writes, rows, lease) if writes else {}

        try:
            outcome = await self._gateway.run(operation, writing=True, longer=LOCKING_SECONDS)
        except StorageUnavailableError as error:
            if error.code != LOCK_NOT_AVAILABLE:
                raise
            raise SessionHeldError(
                "another transaction held the row of a session for longer than lock_timeout (1 s or less), and "
                "nothing was written; end that transaction (pg_locks shows it), then try again",
                code=error.code,
            ) from error.__cause__
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome.get(key) for key in keys]

    async def _read(self, keys: Sequence[Key], lease: Lease) -> Sequence[Row]:
        asked = list(unique(keys))
        statement, params = self._fetching.bound(self._statements.get_locked, asked)
        rows = await lease.fetch(statement, params)
        check_keys(rows, asked)
        return rows

    async def _write(self, writes: Sequence[Write], rows: Sequence[Row], lease: Lease) -> dict[Key, Summary]:
        landed = await self._update([write for write in writes if not write.items], lease)
        locked = {key_of(row): read_under_lock(row) for row in rows}
        return landed | await self._placing.place(changes_of(writes, locked), lease)

    async def _update(self, writes: Sequence[Write], lease: Lease) -> dict[Key, Summary]:
        landed = await self._placing.rewrite(writes, lease)
        by_key = {write.read.key: write for write in writes}
        missed = [key for key in by_key if key not in landed]
        if missed:
            # The rows are locked. So a row that is still live and unchanged means that the database dropped the write.
            there = [summary_of(row) for row in await self._read(missed, lease)]
            as_before = [it.key for it in there if _state_of(it) == _state_of(by_key[it.key].read)]
            if as_before:
                raise not_kept(as_before)
        return landed


def _state_of(summary: Summary) -> tuple[int, str]:
    return summary.version, summary.last_write
