"""The documents of the memory provider: the operations on one document, at a given time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .. import Document, Draft, Key, Summary, Write
from ..journal import JOURNAL_CHARS, Journal, entry, new_write_id
from ..lifetime import deadline_of, first_expiry, slid_expiry


class Documents(dict[Key, Document]):
    """The documents by key. Expired ones stay until they are purged or replaced."""

    def under(self, namespace: str | None, prefix: str) -> Iterator[tuple[Key, Document]]:
        """Finds the documents of a namespace (None: of all) whose ids start with the prefix."""
        for key, document in self.items():
            if (namespace is None or key.namespace == namespace) and key.session_id.startswith(prefix):
                yield key, document

    def expired(self, until: datetime) -> Iterator[tuple[datetime, Key]]:
        """Finds the documents that had expired by this time: their expiries and keys."""
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
        """Inserts a new document, also over an existing one."""
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
        self[draft.key] = Document(draft.state, summary, Journal("", ""))
        return self[draft.key]

    def write(self, write: Write, now: datetime) -> Summary | None:
        """Writes a state under an optimistic lock; None: the document is gone, or has changed since it was read."""
        found = self.live(write.read.key, now)
        if found is None:
            return None
        summary = found.summary
        if (summary.version, summary.last_write) != (write.read.version, write.read.last_write):
            return None
        summary = summary._replace(
            version=summary.version + write.count,
            updated_at=now,
            last_accessed_at=now,
            expires_at=slid_expiry(now, summary.expires_at, summary.ttl, summary.deadline),
            last_write=write.id,
        )
        journal = _noted(found, entry(write.id, write.count))
        self[summary.key] = Document(
            write.state, summary, journal if write.keys is None else journal._replace(keys=write.keys)
        )
        return summary

    def overwrite(self, draft: Draft, now: datetime) -> Summary:
        """Writes a draft over the document of its key; without a live one, inserts a new document."""
        found = self.live(draft.key, now)
        made = self.insert(draft, now)
        summary = made.summary._replace(last_write=new_write_id())
        if found is not None:
            created_at = found.summary.created_at
            deadline = deadline_of(created_at, draft.max_lifetime)
            summary = summary._replace(
                version=found.summary.version + 1,
                created_at=created_at,
                deadline=deadline,
                expires_at=first_expiry(now, draft.ttl, deadline),
            )
        journal = _noted(found or made, entry(summary.last_write, 1))
        self[draft.key] = Document(draft.state, summary, journal)
        return summary


def _noted(document: Document, made: str) -> Journal:
    """Returns the journal of a document with one more entry, the newest first."""
    writes, keys = document.journal or ("", "")
    return Journal((made + writes)[:JOURNAL_CHARS], keys)
