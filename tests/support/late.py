"""Writes whose answers are lost, and which land later."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sessionstore import StorageError, UpdateOutcomeUnknownError
from sessionstore.storage.sql.connections.gateway import Gateway
from sessionstore.storage.sql.connections.operation import Operation


class LateGateway:
    """Loses the answers of some writes, which land later.

    Attributes:
        late: Of how many of the next writes.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.late = 0
        self._gateway = gateway
        self._under_way: list[Operation[Any]] = []

    async def run(self, operation: Operation[Any], *, writing: bool, **how: Any) -> Any:
        if writing and self.late:
            self.late -= 1
            self._under_way.append(operation)
            raise UpdateOutcomeUnknownError("lost")
        return await self._gateway.run(operation, writing=writing, **how)

    async def land(self) -> None:
        under_way, self._under_way = self._under_way, []
        for operation in under_way:
            with suppress(StorageError):  # which nobody is told
                await self._gateway.run(operation, writing=True)
