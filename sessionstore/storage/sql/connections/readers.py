"""Connections to read-only servers. They serve reads while new connections would lead to a read-only server too."""

from __future__ import annotations

import logging
from math import inf
from time import monotonic
from typing import Any, Final

from ..drivers.driver import Driver
from .lease import Lease, ask_beside

_LOG: Final = logging.getLogger("sessionstore.storage")

LOOK_SECONDS: Final = 5.0
"""After how many seconds a new connection is tried, while connections that only read are in use."""
_UNKNOWN_SECONDS: Final = 2 * LOOK_SECONDS
"""If no new connection was tried for this time, connections that only read are replaced before their next use."""

_ONLY_READS: Final = "sessionstore only reads"
"""The key in the `info` of a connection that says that an access was refused on it, because it only reads."""


class Readers:
    """Knows which connections lead to a read-only server, and when a new connection last led to one.

    A service may read from a standby on purpose. Then new connections only read too, and the old ones stay. After a
    failover, new connections may lead to a server that writes, but old ones do not show this until a write is refused.

    Attributes:
        looking: Whether a new connection is being tried now.

    Args:
        driver: The driver of the connections.
    """

    def __init__(self, driver: Driver) -> None:
        self.looking = False
        self._driver = driver
        self._seen = -inf

    def has(self, lease: Lease) -> bool:
        """Whether a connection is known to lead to a server that only reads."""
        return self._driver.only_reads(lease.driver) or _ONLY_READS in lease.pooled.info

    def keep(self, lease: Lease, *, new: bool) -> bool:
        """Returns whether to keep a connection on which an access was refused, because a new one would only read too.

        Args:
            lease: The connection.
            new: Whether the connection was made for this access, after the access was refused on another connection.
        """
        if new:
            self.saw(lease.since)
        if self.known:
            lease.pooled.info[_ONLY_READS] = True
            return True
        return False

    def saw(self, when: float) -> None:
        """Remembers that a connection that was made at this time, by time.monotonic(), only reads."""
        self._seen = max(self._seen, when)

    @property
    def known(self) -> bool:
        """Whether a new connection would only read too, because one that was made in the last 5 seconds does."""
        return self._seen + LOOK_SECONDS >= monotonic()

    @property
    def unknown(self) -> bool:
        """Whether no new connection was tried for 10 seconds, and none is being tried now."""
        return not self.looking and self._seen + _UNKNOWN_SECONDS < monotonic()

    async def look(self, pool: Any) -> bool:
        """Tries a new connection, and returns whether it leads to a server that writes."""
        try:
            writes = await _writes_now(pool, self._driver)
        except Exception as error:  # noqa: BLE001  # no call waits for this, and the old connections stay in use
            _LOG.debug("no new connection beside those that only read", extra={"error": type(error).__name__})
            writes = False
        finally:
            self.looking = False
        if not writes:
            self.saw(monotonic())
        return writes


async def _writes_now(pool: Any, driver: Driver) -> bool:
    """Whether a new connection leads to a server that writes.

    The connection is made beside the pool, so that no call waits for it.

    Args:
        pool: The pool whose settings the connection gets.
        driver: The driver of the connection.
    """
    ((setting,),) = await ask_beside(pool, driver, "SHOW transaction_read_only")
    return bool(setting == "off")
