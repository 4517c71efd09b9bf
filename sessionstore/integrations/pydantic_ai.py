"""pydantic-ai: `StoredConversationStore` keeps conversations in any storage of this library.

A conversation is a session. Its record is the state, its entries are the items, and its scope is the owner. A fork gets
copies of the entries that it shares, so that it stays whole when the other conversation expires or is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from ..errors import ItemNotFoundError, SessionConflictError, SessionNotFoundError, SessionOwnerError
from ..ids import SessionId
from ..manager import DEFAULT_TTL, SessionManager
from ..storage import Order, StorageProvider
from .chain import Chains, Link
from .keys import joined
from .missing import missing_extra
from .pages import pages
from .plain import Plain

try:
    from pydantic_ai.conversation_store import (
        ConversationConflict,
        ConversationEntry,
        ConversationRecord,
        ConversationStore,
    )
    from pydantic_ai.exceptions import UserError
except ModuleNotFoundError as error:
    raise missing_extra("pydantic-ai", error) from error

__all__ = ["StoredConversationStore"]

_Saved: TypeAlias = dict[str, str]
"""The state of a session: the record, and the revision that it replaced, each as JSON text in ASCII."""

_RECORDS: Final = Plain(list[ConversationRecord], "state")
_ENTRIES: Final = Plain(list[ConversationEntry], "items")

_PAGE: Final = 1000
_FEWEST_LISTED: Final = 500


class StoredConversationStore(ConversationStore):
    """A `ConversationStore` of pydantic-ai that keeps conversations in PostgreSQL, SQLite or memory.

    If several writers replace the same revision, also in several processes, one succeeds and the others get a
    `ConversationConflict`. A save is atomic: the record and the new entries land together, or neither lands. The same
    write, repeated after it landed, succeeds and changes nothing.

    Entries never change. To delete a conversation deletes its entries, but not the copies in its forks. An expired
    conversation is absent.

    Args:
        storage: Where conversations are kept; the caller closes it.
        namespace: Separates these conversations from other sessions in the same storage.
        ttl: How long a conversation lives after it was loaded or saved; None: it does not expire. If the argument is
            missing, ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        max_message_bytes: The longest accepted message, as JSON in UTF-8; images and files count in base64.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    def __init__(
        self,
        storage: StorageProvider,
        *,
        namespace: str = "pydantic-ai",
        ttl: timedelta | None = DEFAULT_TTL,
        max_message_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        def starting_with(state: _Saved) -> SessionManager[_Saved]:
            most = max_message_bytes
            return SessionManager(
                lambda _: state, storage, namespace, ttl=ttl, max_state_bytes=most, max_item_bytes=most
            )

        self._starting_with = starting_with
        self._chats = starting_with({})
        self._chains = Chains(self._chats)

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Returns the record of a conversation; None: absent or expired. This is an access: it moves the expiry."""
        found = await self._chats.get_session(joined(conversation_id))
        if isinstance(found.error, SessionNotFoundError):
            return None
        record = _record(found.unwrap(), found.session_id)
        if record.head_id is not None:
            self._chains.note_end(record.head_id, found.session_id)
        return record

    async def read_records(self, *, scope: str | None = None, limit: int | None = None) -> Sequence[ConversationRecord]:
        """Returns the records of a scope, or of all scopes, newest `updated_at` first, and at most `limit` of them.

        With a limit, only the conversations that were saved last are read: as many as the limit, and at least 500. So a
        record whose `updated_at` is far from the time of its save, by the storage's clock, may be missed.
        """
        order: Order = "key" if limit is None else "recent"
        most = _PAGE if limit is None else max(limit, _FEWEST_LISTED)
        listing = partial(self._chats.list_sessions, owner_id=_owner(scope), limit=most, order=order, states=True)
        if limit is None:
            found = [info async for page in pages(listing) for info in page.sessions]
        else:
            found = [*(await listing()).sessions]
        # Sorts are stable. So records with the same `updated_at` are in the order in which they were created.
        found.sort(key=lambda info: info.metadata.created_at)
        records = [_record(info.state, info.session_id) for info in found]
        return sorted(records, key=lambda record: record.updated_at, reverse=True)[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Stores a record with the new entries of its history. All land, or nothing does.

        Raises:
            ConversationConflict: The stored record has another revision than `expected_revision`, there is no record,
                or there is one and `expected_revision` is None; or no conversation has the entry `record.head_id`.
            UserError: The record has another `scope` than the stored one. A conversation keeps its owner.
            InvalidStateError: A message is too long, or would not be read back.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the record was stored.
        """
        session_id = joined(record.conversation_id)
        saved = {"record": _RECORDS.write_text(record, session_id), "replaced": json.dumps(expected_revision)}
        new = {link["id"]: link for link in _ENTRIES.write(new_entries, session_id)}
        named = {record.head_id, *record.branches, *(link["parent_id"] for link in new.values())}
        before = {entry_id for entry_id in named if entry_id is not None and entry_id not in new}
        try:
            if expected_revision is None:
                await self._create(record, saved, new, before)
            else:
                await self._replace(record, expected_revision, saved, new, before)
        except ItemNotFoundError as error:
            raise ConversationConflict(record.conversation_id) from error

    async def _create(self, record: ConversationRecord, saved: _Saved, new: dict[str, Link], before: set[str]) -> None:
        """Creates a conversation. ``before`` are the entries that ``record`` and ``new`` follow."""
        links = await self._chains.copied(before, needed=record.head_id) | new
        made = await self._starting_with(saved).create_session(
            joined(record.conversation_id),
            items=[*links.values()],
            ids=[*map(joined, links)],
            owner_id=_owner(record.scope),
        )
        if isinstance(made.error, SessionOwnerError) or made.unwrap() != saved:
            raise ConversationConflict(record.conversation_id)

    async def _replace(
        self, record: ConversationRecord, expected: str, saved: _Saved, new: dict[str, Link], before: set[str]
    ) -> None:
        """Replaces the record of a revision. ``before`` are the entries that ``record`` and ``new`` follow."""
        session_id = joined(record.conversation_id)

        def replaced(stored: _Saved) -> tuple[_Saved, set[str | None]]:
            if stored == saved:
                raise _LandedError
            now = _record(stored, session_id)
            if now.revision != expected:
                raise ConversationConflict(record.conversation_id)
            if now.scope != record.scope:
                raise UserError(f"The scope of conversation {record.conversation_id!r} cannot be changed.")
            return saved, {now.head_id, *now.branches}

        try:
            written = await self._chains.extend(session_id, replaced, new, before, needed=record.head_id)
        except _LandedError:
            return
        if isinstance(written.error, SessionNotFoundError):
            raise ConversationConflict(record.conversation_id)
        written.unwrap()

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Deletes a conversation with its entries. Forks keep the copies that they have.

        Raises:
            ConversationConflict: There is no record, or it has another revision.
            StorageError: The storage failed. UpdateOutcomeUnknownError: it is unknown whether the record was deleted.
        """
        session_id = joined(conversation_id)
        while True:
            found = await self._chats.get_session(session_id, touch=False)
            if isinstance(found.error, SessionNotFoundError):
                raise ConversationConflict(conversation_id)
            if _record(found.unwrap(), session_id).revision != expected_revision:
                raise ConversationConflict(conversation_id)
            deleted = await self._chats.delete_session(session_id, expected_version=found.version)
            if isinstance(deleted.error, SessionConflictError):
                continue
            if not deleted.unwrap():
                raise ConversationConflict(conversation_id)
            return

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Returns the entry with this id, from any conversation.

        Raises:
            ItemNotFoundError: No conversation has it. This is a LookupError.
        """
        (entry,) = await self.read_history(entry_id, limit=1)
        return entry

    async def read_history(self, head_id: str | None, *, limit: int | None = None) -> list[ConversationEntry]:
        """Returns the entries up to `head_id`, or the last `limit` of them. Reads them in pages.

        Raises:
            ItemNotFoundError: No conversation has one of the entries. This is a LookupError.
        """
        chain, missing = await self._chains.to(head_id, limit)
        if missing is not None:
            raise ItemNotFoundError(item_id=missing)
        return _ENTRIES.read(chain, "")


class _LandedError(Exception):
    """Raised if the same write has landed before."""


def _owner(scope: str | None) -> str | None:
    return None if scope is None else joined(scope)


def _record(saved: object, session_id: SessionId) -> ConversationRecord:
    """Returns the record of a session.

    Raises:
        CorruptStateError: Another program wrote the state.
    """
    return _RECORDS.read_text(saved.get("record") if isinstance(saved, dict) else None, session_id)
