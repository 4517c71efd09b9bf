"""Compared: a store that asks pydantic-ai's own store and ours, and fails unless they answer alike."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)

R = TypeVar("R")

_EXPECTED = (ConversationConflict, LookupError)


class Compared(ConversationStore):
    """Both stores get the same records and entries, because pydantic-ai's base class makes them once.

    Attributes:
        calls: How many calls were compared.
        conflicts: How many of them were conflicts.
    """

    def __init__(self, oracle: InMemoryConversationStore, ours: ConversationStore) -> None:
        self._oracle = oracle
        self._ours = ours
        self.calls = 0
        self.conflicts = 0

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        return await self._both(self._oracle.read_record(conversation_id), self._ours.read_record(conversation_id))

    async def read_records(self, *, scope: str | None = None, limit: int | None = None) -> Sequence[ConversationRecord]:
        oracle = self._oracle.read_records(scope=scope, limit=limit)
        return await self._both(oracle, self._ours.read_records(scope=scope, limit=limit))

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        given: dict[str, Any] = {"new_entries": new_entries, "expected_revision": expected_revision}
        await self._both(self._oracle.write_record(record, **given), self._ours.write_record(record, **given))

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        oracle = self._oracle.delete_record(conversation_id, expected_revision=expected_revision)
        await self._both(oracle, self._ours.delete_record(conversation_id, expected_revision=expected_revision))

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        return await self._both(self._oracle.read_entry(entry_id), self._ours.read_entry(entry_id))

    async def read_history(self, head_id: str | None, *, limit: int | None = None) -> list[ConversationEntry]:
        oracle = self._oracle.read_history(head_id, limit=limit)
        return await self._both(oracle, self._ours.read_history(head_id, limit=limit))

    async def _both(self, oracle: Awaitable[R], ours: Awaitable[R]) -> R:
        wanted, found = await _outcome(oracle), await _outcome(ours)
        self.calls += 1
        if not isinstance(wanted, Exception):
            assert found == wanted
            return wanted
        (kind,) = [kind for kind in _EXPECTED if isinstance(wanted, kind)]
        assert isinstance(found, kind), found
        if kind is ConversationConflict:
            self.conflicts += 1
            assert vars(found) == vars(wanted)
            assert str(found) == str(wanted)
        raise wanted


async def _outcome(call: Awaitable[R]) -> R | Exception:
    try:
        return await call
    except _EXPECTED as error:
        return error
