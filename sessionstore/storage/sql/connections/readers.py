"""Connections to servers that only read. They serve reads as long as new connections would lead there too."""

from __future__ import annotations

import logging
from math import inf
from time import monotonic
from typing import Any, Final

from ..drivers.driver import Driver
from .lease import Lease, ask_beside

_LOG: Final = logging.getLogger("sessionstore.storage")

LOOK_SECONDS: Final = 5.0
"""How often a new connection is tried, while connections that only read are used."""
_UNKNOWN_SECONDS: Final = 2 * LOOK_SECONDS
"""If no new connection was tried for so long, connections that only read are replaced before their next use."""

_ONLY_READS: Final = "sessionstore only reads"
"""The key in the `info` of a connection that says that an access was refused on it, because it only reads."""


class Readers:
    """Which connections lead to a server that only reads, and when a new connection was last seen to do so.

    A service may read from a standby on purpose. Then new connections only read too, and the old ones stay. After a
    failover, new connections may lead to a server that writes, and only a refused write would show this.

    Attributes:
        looking: Whether a new connection is looked at now.

    Args:
        driver: Talks on connections.
    """

    def __init__(self, driver: Driver) -> None:
        self.looking = False
        self._driver = driver
        self._seen = -inf

    def has(self, lease: Lease) -> bool:
        """Whether a connection is known to lead to a server that only reads."""
        return self._driver.only_reads(lease.driver) or _ONLY_READS in lease.pooled.info

    def keep(self, lease: Lease, *, new: bool) -> bool:
        """Whether a connection on which an access was refused stays, because a new one would be no better.

        Args:
            lease: The connection.
            new: Whether it was made for this access, after another one was refused.
        """
        if new:
            self.saw(lease.since)
        if self.known:
            lease.pooled.info[_ONLY_READS] = True
            return True
        return False

    def saw(self, when: float) -> None:
        """Remembers that a connection that was made at that time only reads."""
        self._seen = max(self._seen, when)

    @property
    def known(self) -> bool:
        """Whether a new connection would only read too: one that was made a moment ago does."""
        return self._seen + LOOK_SECONDS >= monotonic()

    @property
    def unknown(self) -> bool:
        """Whether no new connection was looked at for long, and none is looked at now."""
        return not self.looking and self._seen + _UNKNOWN_SECONDS < monotonic()

    async def look(self, pool: Any) -> bool:
        """Looks where a new connection leads, and whether its server writes."""
        try:
            writes = await _writes_now(pool, self._driver)
        except Exception as error:  # noqa: BLE001  # no call waits for it, and the old connections go on
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
        pool: What to connect as.
        driver: Talks on the connection.
    """
    ((setting,),) = await ask_beside(pool, driver, "SHOW transaction_read_only")
    return bool(setting == "off")
