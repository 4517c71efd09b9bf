"""The synchronous call that lists sessions.

Written by `python -m tests.sync`, from `sessionstore/calls/listing.py`.
"""

from __future__ import annotations

from datetime import timedelta

from ...session import I, SessionPage, T
from ...storage import Order
from .kind import Kind


class Listing(Kind[T, I]):
    """Lists the sessions of one kind."""

    def list_sessions(
        self,
        *,
        owner_id: str | None = None,
        prefix: str = "",
        limit: int = 100,
        after: str | None = None,
        order: Order = "key",
        states: bool = False,
        timeout: timedelta | None = None,
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
        return self._run(
            self.asynchronous.list_sessions(
                owner_id=owner_id, prefix=prefix, limit=limit, after=after, order=order, states=states, timeout=timeout
            )
        )
