"""psycopg without the library, with the row locked from the read to the write."""

from __future__ import annotations

from typing import Any

import orjson
from psycopg import AsyncConnection

from ..statements import NOTED, as_read, key
from ..states import Change
from .raw_psycopg import RawPsycopg


class RawForUpdate(RawPsycopg):
    """Pessimistic: BEGIN, SELECT FOR UPDATE, UPDATE, COMMIT. Nobody loses, everybody queues."""

    note = "As raw psycopg, in a transaction with `SELECT ... FOR UPDATE`."

    async def attempt(self, connection: AsyncConnection[Any], session: str, change: Change) -> bool:
        async with connection.transaction():
            row = await self.fetch(connection, self.sql.get_locked.named, key(session))
            state = change(self.decode(row))
            new = {"state": orjson.dumps(state).decode(), **as_read(row), **NOTED}
            return await self.fetch(connection, self.sql.update.named, key(session) | new) is not None
