"""Connections to servers that only read: they serve reads for as long as new ones would lead there too."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import Any, Final

from sqlalchemy.util import greenlet_spawn

from ..drivers.driver import Driver
from .lease import of_pool

LOOK_SECONDS: Final = 5.0
"""How often it is looked where a new connection leads, while connections that only read are used."""
_UNKNOWN_SECONDS: Final = 2 * LOOK_SECONDS
"""If nobody has looked for so long, connections that only read are replaced before they are used again."""


class Readers:
    """When a new connection was last seen to lead to a server that only reads.

    A service may read from a standby on purpose, and then a new connection is no better than the old ones. After a
    failover it is, and nothing but a refused write would tell.

    Attributes:
        looking: Whether somebody looks now.
    """

    def __init__(self) -> None:
        self.looking = False
        self._seen = -inf

    def saw(self, when: float) -> None:
        """A connection that was made then only reads."""
        self._seen = max(self._seen, when)

    @property
    def known(self) -> bool:
        """Whether a new connection would only read too: one that was made a moment ago does."""
        return self._seen + LOOK_SECONDS >= monotonic()

    @property
    def unknown(self) -> bool:
        """Whether nobody has looked for long, and nobody does."""
        return not self.looking and self._seen + _UNKNOWN_SECONDS < monotonic()


async def writes_now(pool: Any, driver: Driver) -> bool:
    """Whether a new connection leads to a server that writes.

    It is made beside the pool, so that nobody waits for it.

    Args:
        pool: What to connect as.
        driver: Talks on it.
    """
    another = pool.recreate()
    pooled = await of_pool(another)
    try:
        ((setting,),) = await driver.fetch(pooled.driver_connection, "SHOW transaction_read_only", ())
        return bool(setting == "off")
    finally:
        await greenlet_spawn(pooled.invalidate)
        await greenlet_spawn(pooled.close)
        await greenlet_spawn(another.dispose)
