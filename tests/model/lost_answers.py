"""Loses the answers to changes of items, which have landed, never land, or land later."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sessionstore import SqlStorageProvider, UpdateOutcomeUnknownError
from sessionstore.storage.sql.connections.lease import Lease
from sessionstore.storage.sql.connections.operation import Operation
from sessionstore.testing.conformance.model.losses import Loss


class LostAnswers:
    """Stands between a storage and its database.

    Attributes:
        losses: What becomes of the next changes; empty: no answer is lost.

    Args:
        storage: The storage.
        monkeypatch: Puts it there.
    """

    def __init__(self, storage: SqlStorageProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        self.losses: list[Loss] = []
        self._gateway = storage._gateway
        self._under_way: list[Operation[Any]] = []
        monkeypatch.setattr(storage._fetching, "_gateway", _Statements(self))
        monkeypatch.setattr(storage._changes, "_gateway", _Transactions(self))

    async def land(self) -> None:
        """Has the late statements land."""
        while self._under_way:
            await self._gateway.run(self._under_way.pop(), writing=True)

    async def statement(self, operation: Operation[Any], **how: Any) -> Any:
        """Runs a single statement, which may land after its answer was lost."""
        if not how["writing"] or not self.losses:
            return await self._gateway.run(operation, **how)
        loss = self.losses.pop()
        if loss is Loss.LANDED:
            await self._gateway.run(operation, **how)
        elif loss is Loss.LATE:
            self._under_way.append(operation)
        raise UpdateOutcomeUnknownError("lost")

    async def transaction(self, operation: Operation[Any], **how: Any) -> Any:
        """Runs a transaction. Without its COMMIT it never lands."""
        answer = await self._gateway.run(operation, **how)
        if self.losses:
            self.losses.pop()
            raise UpdateOutcomeUnknownError("lost")
        return answer

    @asynccontextmanager
    async def committing(self, lease: Lease) -> AsyncGenerator[None]:
        """As Gateway.transaction(), for a COMMIT that may not arrive."""
        async with self._gateway.transaction(lease):
            yield
            if self.losses and self.losses[-1] is not Loss.LANDED:
                self.losses.pop()
                raise UpdateOutcomeUnknownError("lost")


class _Statements:
    def __init__(self, answers: LostAnswers) -> None:
        self.run = answers.statement


class _Transactions:
    def __init__(self, answers: LostAnswers) -> None:
        self.run = answers.transaction
        self.transaction = answers.committing
