"""Forks of sessions. Each request makes at most one copy, even if the answer of an attempt is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ....concurrency.retry_window import until_told
from ....errors import StorageError, UpdateOutcomeUnknownError
from ....ids import first_version, started_at
from ... import Creation, Fork
from ..connections.gateway import Gateway
from ..connections.lease import Lease
from ..drivers.driver import Row
from ..faults import LOCK_NOT_AVAILABLE
from ..statements.fields import fork_fields
from ..statements.rows import DUE, document_of, expired_early, key_of
from .fetching import Fetching, check_keys
from .reads import Reads, may_access
from .rounds import Rounds

_STATEMENTS: Final = 60
"""The time limit of a fork, as a multiple of the usual one. A fork may copy many items."""


class Forking:
    """One fork.

    Args:
        fork: The fork.
        gateway: Runs operations on the database's connections.
        fetching: Chooses the statements and their parameters.
        reads: Reads sessions, and finds the rows that other transactions hold.
    """

    def __init__(self, fork: Fork, gateway: Gateway, fetching: Fetching, reads: Reads) -> None:
        self._fork = fork
        self._gateway = gateway
        self._fetching = fetching
        self._reads = reads
        self._rounds = Rounds(reads.held)
        self._version = fork.version
        # The versions of the copies of lost attempts. They tell a copy that such an attempt made.
        self._lost: list[int] = []
        self._transact = False

    async def made(self) -> Creation | None:
        """Implements StorageProvider.fork()."""
        return await until_told(self._attempt)

    async def _attempt(self) -> Creation | None:
        # Usually one round is enough. More are needed if another caller creates or deletes a session of the key during
        # the round, or holds its expired row.
        key = self._fork.key
        while True:
            try:
                rows = await self._copy()
            except UpdateOutcomeUnknownError:
                self._lost.append(self._version)
                self._version = first_version()
                raise
            except StorageError as error:
                # "Refused" tells the caller that a retry is safe. After a lost attempt, which may land, it is not safe.
                error.refused = error.refused and not self._lost
                if error.code == LOCK_NOT_AVAILABLE:
                    # The statement waited too long for an uncommitted INSERT of the same key. The next attempt waits in
                    # a transaction: before its COMMIT, nothing can have landed.
                    self._transact = True
                    await self._rounds.pause([key], unwritten=not self._lost)
                else:
                    await self._rounds.refused(error)
                continue
            if rows and not expired_early(rows[0]):
                document = (await self._reads.access(rows)).get(key) if rows[0][DUE] else document_of(rows[0])
                if document is not None:
                    return Creation(document, created=True)
            elif not rows:
                found, settled = await self._found()
                if settled:
                    return found
            await self._rounds.again([key], [key], unwritten=not self._lost)

    async def _found(self) -> tuple[Creation | None, bool]:
        """Finds out why nothing was copied. Returns the answer, and whether it is final (False: try again)."""
        fork = self._fork
        rows = {key_of(row): row for row in await self._reads.read([fork.key, fork.source])}
        taken, source = rows.get(fork.key), rows.get(fork.source)
        ours = taken is not None and self._is_ours(document_of(taken).summary.version)
        if not ours and (source is None or not may_access(source, {(fork.source, fork.owner_id)})):
            return None, True
        if taken is None:
            return None, False
        if not ours and not may_access(taken, {(fork.key, fork.owner_id)}):
            return Creation(document_of(taken), created=False), True
        document = (await self._reads.access([taken])).get(fork.key)
        return (None, False) if document is None else (Creation(document, created=ours), True)

    async def _copy(self) -> Sequence[Row]:
        """Copies the session if its key is free. Returns the row of the copy, or none."""
        statements = self._gateway.statements
        fields = fork_fields(self._fork, self._version)
        statement, params = self._fetching.bound(statements.fork, [fields])

        async def operation(lease: Lease) -> Sequence[Row]:
            if not (statements.one_writer or self._transact):
                return await lease.fetch(statement, params)
            async with self._gateway.transaction(lease):
                rows = await lease.fetch(statement, params)
                if rows and statements.one_writer:
                    await lease.fetch(statements.copy_items, params)
                return rows

        rows = await self._gateway.run(operation, writing=True, statements=_STATEMENTS)
        check_keys(rows, [fields])
        return rows

    def _is_ours(self, version: int) -> bool:
        return any(started_at(version, first) for first in self._lost)
