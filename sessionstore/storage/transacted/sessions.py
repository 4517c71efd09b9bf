"""The sessions of one transaction: the operations on one session, at a given time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from .. import Append, Document, Draft, Edit, Edited, Fork, Key, NewItem, Summary, Write, owned
from ..items import check_new
from ..journal import (
    APPENDS_CHARS,
    JOURNAL_CHARS,
    Journal,
    append_entry,
    entry,
    new_write_id,
    with_key,
)
from ..lifetime import deadline_of, first_expiry, slid_expiry
from .logs import Entry, Logs
from .texts import session_of, text_of


class Sessions(dict[Key, Document]):
    """Sessions by key, and their items. Expired sessions stay until they are purged or replaced.

    Args:
        texts: The stored sessions: the texts that changes() returned earlier, by key.

    Attributes:
        logs: The items.
    """

    def __init__(self, texts: Mapping[Key, str] | None = None) -> None:
        super().__init__()
        self.logs = Logs()
        self._loaded: dict[Key, tuple[Document, list[Entry]]] = {}
        for key, text in (texts or {}).items():
            self[key], entries = self._loaded[key] = session_of(key, text)
            self.logs.load(key, entries)

    def changes(self) -> Mapping[Key, str | None]:
        """Returns the new text of each session that differs from the text that was loaded; None: it was deleted."""
        changed: dict[Key, str | None] = dict.fromkeys(self._loaded.keys() - self.keys())
        for key, document in self.items():
            entries = self.logs.entries(key)
            loaded = self._loaded.get(key)
            if loaded is None or loaded[0] is not document or loaded[1] != entries:
                changed[key] = text_of(document, entries)
        return changed

    def drop(self, key: Key) -> None:
        """Removes a document with its items, if it is there."""
        self.pop(key, None)
        self.logs.forget(key)

    def under(self, namespace: str | None, prefix: str) -> Iterator[tuple[Key, Document]]:
        """Yields the documents of a namespace (None: of all) whose ids start with the prefix."""
        for key, document in self.items():
            if (namespace is None or key.namespace == namespace) and key.session_id.startswith(prefix):
                yield key, document

    def expired(self, until: datetime) -> Iterator[tuple[datetime, Key]]:
        """Yields the expiry and the key of each document that had expired by this time."""
        for key, document in self.items():
            expires_at = document.summary.expires_at
            if expires_at is not None and expires_at <= until:
                yield expires_at, key

    def live(self, key: Key, now: datetime) -> Document | None:
        """Returns the document if it is live at this time, else None."""
        found = self.get(key)
        if found is None or (found.summary.expires_at is not None and found.summary.expires_at <= now):
            return None
        return found

    def access(self, key: Key, now: datetime) -> Document | None:
        """Accesses a live document, and returns it as the access leaves it; None: there is no live document."""
        found = self.live(key, now)
        if found is None:
            return None
        summary = found.summary
        slid = slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline)
        accessed = found._replace(summary=summary._replace(last_accessed_at=now, expires_at=slid))
        if slid != summary.expires_at:
            self[key] = accessed
        return accessed

    def insert(self, draft: Draft, now: datetime) -> Document:
        """Inserts a new document with its first items, also over an existing one."""
        self.logs.forget(draft.key)
        self[draft.key] = self._first(draft, now)
        if draft.items:
            summary = self._append(draft.key, draft.items, new_write_id(), now, draft.keep)
            return self[draft.key]._replace(summary=summary)
        return self[draft.key]

    def _first(self, draft: Draft, now: datetime) -> Document:
        """Returns the document of a draft, as a creation makes it."""
        deadline = deadline_of(now, draft.max_lifetime)
        summary = Summary(
            key=draft.key,
            version=draft.version,
            created_at=now,
            updated_at=now,
            last_accessed_at=now,
            expires_at=first_expiry(now, draft.ttl, deadline),
            deadline=deadline,
            ttl=draft.ttl,
            origin=draft.origin,
            owner_id=draft.owner_id,
        )
        return Document(draft.state, summary, Journal("", ""), state_version=draft.state_version)

    def write(self, write: Write, now: datetime) -> Summary | None:
        """Writes a state under an optimistic lock; None: the document is gone, or has changed since it was read."""
        found = self._as_read(write, now)
        if found is None:
            return None
        summary = found.summary
        summary = summary._replace(
            version=summary.version + write.count,
            updated_at=now,
            last_accessed_at=now,
            expires_at=slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline),
            last_write=write.id,
        )
        journal = _noted(found, entry(write.id, write.count))
        if write.keys is not None:
            journal = journal._replace(keys=write.keys)
        self[summary.key] = Document(write.state, summary, journal, state_version=write.state_version)
        return self._append(summary.key, write.items, write.id, now, write.keep) if write.items else summary

    def check_new(self, writes: Iterable[Write], now: datetime) -> None:
        """Checks the items with ``only_new`` of those writes that would land: their ids have to be new.

        Raises:
            SessionConflictError: A document has such an id already.
        """
        for write in writes:
            if write.items and (found := self._as_read(write, now)) is not None:
                places = self.logs.places(write.read.key, write.items, found.summary.last_position)
                check_new(write.read.key.session_id, write.items, places)

    def _as_read(self, write: Write, now: datetime) -> Document | None:
        """Returns the live document that a write is based on; None: it is gone, or has changed since it was read."""
        found = self.live(write.read.key, now)
        if found is None:
            return None
        summary = found.summary
        if (summary.version, summary.last_write) != (write.read.version, write.read.last_write):
            return None
        if write.keys_read is not None and (found.journal or Journal("", "")).keys != write.keys_read:
            return None
        return found

    def rewrite(self, write: Write, now: datetime) -> bool:
        """Writes a state as write() does, and leaves all times as they are."""
        found = self.live(write.read.key, now)
        if found is None or self.write(write, now) is None:
            return False
        summary, times = self[write.read.key].summary, found.summary
        kept = summary._replace(
            updated_at=times.updated_at, last_accessed_at=times.last_accessed_at, expires_at=times.expires_at
        )
        self[write.read.key] = self[write.read.key]._replace(summary=kept)
        return True

    def append(self, append: Append, now: datetime) -> Summary | None:
        """Appends items; None: the document is gone, or does not meet the conditions of the append."""
        found = self.live(append.key, now)
        created = found is None and append.creates
        if created:
            assert append.create is not None
            found = self.insert(append.create, now)
        if found is None:
            return None
        journal = found.journal or Journal("", "")
        if not append.suits(found.summary, journal.keys):
            return None
        if append.digest is not None:
            keys = with_key(journal.keys, append.digest, append.keys)
            self[append.key] = found._replace(journal=journal._replace(keys=keys))
        summary = self._append(append.key, append.items, append.id, now, append.keep)
        return summary._replace(created=created)

    def edit(self, edit: Edit, now: datetime) -> Edited | None:
        """Removes or replaces items; None: the document is gone, or has another owner."""
        found = owned(self.live(edit.key, now), edit.owner_id)
        if found is None:
            return None
        if not edit.suits(found.summary):
            return Edited(found.summary, done=False)
        if edit.put is not None:
            changed = int(self.logs.put(edit.key, edit.log, *edit.put, edit.put_version))
            return Edited(self._append(edit.key, (), edit.id, now, None), done=True, changed=changed)
        if unknown := self.logs.unknown(edit):
            return Edited(found.summary, done=False, removed=[unknown.stored])
        removed = self.logs.remove(edit)
        summary = self._append(edit.key, edit.items, edit.id, now, None if edit.after is None else edit.keep)
        popped = [entry.stored for entry in removed] if edit.newest is not None else []
        return Edited(summary, done=True, changed=len(removed), removed=popped)

    def fork(self, fork: Fork, now: datetime) -> Document | None:
        """Copies a document with its items to a new key; None: the document is gone, or has another owner."""
        found = owned(self.live(fork.source, now), fork.owner_id)
        if found is None:
            return None
        source = found.summary
        lifetime = None if source.deadline is None else source.deadline - source.created_at
        draft = Draft(
            fork.key, found.state, source.ttl, lifetime, origin=source.origin, owner_id=source.owner_id,
            version=fork.version, state_version=found.state_version,
        )  # fmt: skip
        made = self.insert(draft, now)
        self.logs.copy(fork.source, fork.key, fork.until)
        last = source.last_position if fork.until is None else max(0, min(fork.until, source.last_position))
        summary = made.summary._replace(last_position=last, item_count=self.logs.count(fork.key))
        self[fork.key] = made._replace(summary=summary, journal=Journal("", "", append_entry(new_write_id(), 0)))
        return self[fork.key]

    def _append(self, key: Key, items: Sequence[NewItem], write_id: str, now: datetime, keep: int | None) -> Summary:
        """Appends items to a live document, enters the change in its journal, and accesses it."""
        document = self[key]
        summary, journal = document.summary, document.journal or Journal("", "")
        positions = self.logs.append(key, items, summary.last_position, now, keep)
        taken = sum(position is not None for position in positions)
        summary = summary._replace(
            updated_at=now,
            last_accessed_at=now,
            expires_at=slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline),
            last_position=summary.last_position + taken,
            item_count=self.logs.count(key),
        )
        appends = (append_entry(write_id, taken) + journal.appends)[:APPENDS_CHARS]
        self[key] = document._replace(summary=summary, journal=journal._replace(appends=appends))
        return summary._replace(appended=positions)

    def overwrite(self, draft: Draft, now: datetime, *, renew: bool) -> Summary:
        """Writes a draft over the document of its key; without a live one, inserts a new document."""
        found = self.live(draft.key, now)
        if found is None:
            self.logs.forget(draft.key)
        made = self._first(draft, now)
        summary = made.summary._replace(last_write=new_write_id())
        if found is not None:
            created_at = found.summary.created_at
            deadline = deadline_of(now if renew else created_at, draft.max_lifetime)
            summary = summary._replace(
                version=found.summary.version + 1,
                created_at=created_at,
                deadline=deadline,
                expires_at=first_expiry(now, draft.ttl, deadline),
                last_position=found.summary.last_position,
                item_count=found.summary.item_count,
            )
        journal = _noted(found or made, entry(summary.last_write, 1))
        self[draft.key] = made._replace(summary=summary, journal=journal)
        return summary


def _noted(document: Document, made: str) -> Journal:
    """Returns the journal of a document with one more entry of a write, the newest first."""
    journal = document.journal or Journal("", "")
    return journal._replace(writes=(made + journal.writes)[:JOURNAL_CHARS])
