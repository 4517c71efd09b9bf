"""Scans: the calls that go through all sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...ids import check_filters
from .. import Document, Found, Key, Order, Page, Place, Purge, Stats, Summary, check_limit, owned
from ..reshaping import OutdatedItem
from .sessions import Sessions


class Scans:
    """Goes through all sessions of a storage, as of one moment.

    Args:
        sessions: The sessions.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def find(self, namespace: str, ids: Sequence[str], owner_id: str | None, now: datetime) -> Sequence[Found | None]:
        """Implements StorageProvider.find_many()."""
        check_filters(namespace=namespace, owner_id=owner_id)
        found = [
            document.summary
            for key, document in self._sessions.under(namespace, "")
            if self._sessions.live(key, now) and owned(document, owner_id)
        ]
        found.sort(key=lambda summary: (summary.created_at, summary.key))
        return [
            next((Found(it, item) for it in found if (item := self._sessions.logs.find(it.key, item_id))), None)
            for item_id in ids
        ]

    def page(
        self,
        namespace: str | None,
        prefix: str,
        owner_id: str | None,
        limit: int,
        after: Key | Place | None,
        order: Order,
        now: datetime,
        *,
        states: bool,
    ) -> Page:
        """Implements StorageProvider.list()."""
        check_limit(limit)
        check_filters(namespace=namespace, prefix=prefix, owner_id=owner_id)
        found = [
            document
            for key, document in self._sessions.under(namespace, prefix)
            if (owner_id is None or document.summary.owner_id == owner_id) and self._sessions.live(key, now)
        ]
        place_of = _key_of if order == "key" else _place_of
        found.sort(key=lambda document: _rank(place_of(document.summary)))
        if after is not None:
            found = [document for document in found if _rank(place_of(document.summary)) > _rank(after)]
        page = found[:limit]
        following = place_of(page[-1].summary) if len(found) > limit else None
        summaries = [document.summary for document in page]
        if not states:
            return Page(summaries, following)
        versions = [document.state_version for document in page]
        return Page(summaries, following, [document.state for document in page], versions)

    def outdated(
        self, namespace: str, version: int, limit: int, after: Key | None, now: datetime
    ) -> Sequence[Document]:
        """Implements Reshaping.outdated()."""
        check_limit(limit)
        found = [
            document._replace(journal=None)
            for key, document in sorted(self._sessions.under(namespace, ""))
            if self._sessions.live(key, now) and document.state_version != version
        ]
        return [it for it in found if after is None or it.summary.key > after][:limit]

    def outdated_items(
        self, namespace: str, version: int, limit: int, after: OutdatedItem | None, now: datetime
    ) -> Sequence[OutdatedItem]:
        """Implements Reshaping.outdated_items()."""
        check_limit(limit)
        found = [
            item
            for key, _ in self._sessions.under(namespace, "")
            if self._sessions.live(key, now)
            for item in self._sessions.logs.outdated(key, version)
        ]
        found.sort(key=_place_of_item)
        return [it for it in found if after is None or _place_of_item(it) > _place_of_item(after)][:limit]

    def clear(self, namespace: str | None, prefix: str, owner_id: str | None, now: datetime) -> int:
        """Implements StorageProvider.clear()."""
        check_filters(namespace=namespace, prefix=prefix, owner_id=owner_id)
        doomed = [
            key
            for key, document in self._sessions.under(namespace, prefix)
            if owner_id is None or document.summary.owner_id == owner_id
        ]
        live = sum(self._sessions.live(key, now) is not None for key in doomed)
        for key in doomed:
            self._sessions.drop(key)
        return live

    def purge(self, limit: int, end: datetime, since: datetime | None) -> Purge:
        """Implements StorageProvider.purge_batch() for the rows that expired before ``end``."""
        check_limit(limit)
        found = sorted(self._sessions.expired(end))
        doomed: list[tuple[datetime, Key]] = []
        rows = 0
        for expires_at, key in found:
            if since is not None and expires_at < since:
                continue
            rows += 1 + self._sessions.logs.count(key)
            if doomed and rows > limit:
                break
            doomed.append((expires_at, key))
        for _, key in doomed:
            self._sessions.drop(key)
        return Purge(len(doomed), doomed[-1][0] if doomed else None, 0)

    def count_expired(self, end: datetime, since: datetime | None) -> int:
        """Implements StorageProvider.count_expired() for the rows that expired before ``end``."""
        expired = self._sessions.expired(end)
        return sum(since is None or expires_at >= since for expires_at, _ in expired)

    def stats(self, namespace: str | None, now: datetime) -> Sequence[Stats]:
        """Implements StorageProvider.stats()."""
        check_filters(namespace=namespace)
        expiries: dict[str, list[datetime]] = {key.namespace: [] for key, _ in self._sessions.under(namespace, "")}
        for expires_at, key in self._sessions.expired(now):
            if key.namespace in expiries:
                expiries[key.namespace].append(expires_at)
        return [
            Stats(
                name,
                live=sum(self._sessions.live(key, now) is not None for key, _ in self._sessions.under(name, "")),
                expired=len(expired),
                oldest_expiry=min(expired, default=None),
            )
            for name, expired in sorted(expiries.items())
        ]


def _key_of(summary: Summary) -> Key | Place:
    return summary.key


def _place_of(summary: Summary) -> Key | Place:
    return Place(summary.updated_at, summary.key)


def _place_of_item(found: OutdatedItem) -> tuple[Key, str, int]:
    return found.key, found.log, found.item.position


def _rank(place: Key | Place) -> tuple[Any, ...]:
    """Returns the sort key of a place in its listing: by key, or the latest change first and then by key."""
    if isinstance(place, Place):
        return (-(place.updated_at - datetime.min.replace(tzinfo=UTC)), place.key)
    return tuple(place)
