"""The call of SessionManager that lists sessions, page by page."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Final, get_args

from .. import arguments, results
from ..codec.facts import metadata_of
from ..errors import ConfigurationError, CorruptStateError
from ..ids import fault_of
from ..session import I, SessionInfo, SessionPage, T
from ..storage import Key, Order, Place, Summary
from ..timeouts import in_time
from .kind import Kind

_LONGEST_NEXT: Final = 4096


class Listing(Kind[T, I]):
    """Lists the sessions of one kind."""

    async def list_sessions(
        self,
        *,
        owner_id: str | None = None,
        prefix: str = "",
        limit: int = 100,
        after: str | None = None,
        order: Order = "key",
        states: bool = False,
        timeout: timedelta | None = None,  # noqa: ASYNC109  # as in all calls, see concurrency/deadline.py
    ) -> SessionPage[T]:
        """Lists the live sessions of this namespace, one page at a time. This is no access.

        Pages continue after a session, not at an offset: a session that is created or deleted between two pages neither
        repeats nor hides another one. A session whose state cannot be read has an ``error``, and does not end the list.

        Args:
            owner_id: Only sessions of this owner. None: all sessions.
            prefix: Only sessions whose id starts with exactly this.
            limit: The length of a page, at least 1.
            after: The ``next`` of the previous page, with the same ``order``; None: the first page.
            order: "key": by session id, by code point. "recent": the session first whose state or items were changed
                last. A session that is changed between two pages may be missed by the later page.
            states: Whether the page includes the states.
            timeout: How long to wait for the storage; None: for as long as it takes.

        Raises:
            ConfigurationError: An argument is invalid.
            StorageError: The storage failed.
        """
        wanted: dict[str, Any] = arguments.owner_filter(owner_id)
        arguments.check_prefix(prefix)
        if order not in get_args(Order):
            raise ConfigurationError(f'order must be "key" or "recent", not {order!a:.40}')
        # Only arguments that the caller gave are passed on: providers outside this package need not take the others.
        if order != "key":
            wanted["order"] = order
        if states:
            wanted["states"] = True
        if after is not None:
            wanted["after"] = _place(after, self._namespace, order)
        most = arguments.count(limit, "limit", least=1)
        listing = self._storage.list(self._namespace, prefix=prefix, limit=most, **wanted)
        page = await in_time(timeout, listing, writing=False)
        sessions = tuple(
            self._info(summary, text, version)
            for summary, text, version in zip_longest(page.sessions, page.states, page.state_versions)
        )
        return SessionPage(sessions, None if page.next is None else _token(page.next))

    def _info(self, summary: Summary | None, text: str | None, version: int | None) -> SessionInfo[T]:
        assert summary is not None
        session_id = summary.key.session_id
        state: T | None = None
        problem: CorruptStateError | None = None
        try:
            metadata = metadata_of(summary)
            if text is not None:
                state = self._codec.decode(text, session_id, version or 1)
        except CorruptStateError as error:
            metadata, problem = results.readable_metadata(summary), error
        return SessionInfo(session_id, results.version(summary), summary.item_count, metadata, state, problem)


def _token(place: Key | Place) -> str:
    """Returns the place as an opaque text, the ``next`` of a page."""
    if isinstance(place, Place):
        parts = ["recent", place.key.session_id, place.updated_at.isoformat()]
    else:
        parts = ["key", place.session_id]
    return urlsafe_b64encode(json.dumps(parts, ensure_ascii=False).encode()).decode().rstrip("=")


def _place(after: object, namespace: str, order: Order) -> Key | Place:
    """Returns the place of a text that _token() made.

    Raises:
        ConfigurationError: The text is no ``next`` of a page in this order.
    """
    place = _read(after, namespace) if isinstance(after, str) and len(after) <= _LONGEST_NEXT else None
    if place is None or isinstance(place, Place) != (order == "recent"):
        raise ConfigurationError(f'after must be the "next" of a page that was listed with order="{order}"')
    return place


def _read(after: str, namespace: str) -> Key | Place | None:
    try:
        parts = json.loads(urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        if not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
            return None
        order, session_id, *rest = parts
        if fault_of(session_id):
            return None
        key = Key(namespace, session_id)
        if (order, rest) == ("key", []):
            return key
        (text,) = rest
        updated_at = datetime.fromisoformat(text)
    except (ValueError, RecursionError):
        return None
    return Place(updated_at, key) if order == "recent" and updated_at.tzinfo is not None else None
