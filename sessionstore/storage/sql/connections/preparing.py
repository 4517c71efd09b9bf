"""What is looked at and set on a connection when it is taken out of the pool, so that what runs on it commits."""

from __future__ import annotations

from time import monotonic
from typing import Final

from sqlalchemy import StaticPool

from ....errors import ConfigurationError
from .lease import Lease
from .modes import Mode

_SEEN: Final = "sessionstore"
"""The key in the `info` of a connection that says since when our operations have had it."""


def check_shared(pool: StaticPool, mode: Mode) -> None:
    """Looks at the one connection before it is taken, because giving it back would end a transaction on it."""
    record = vars(pool).get("connection")  # there, once somebody connected
    if record is not None and record.in_use and mode.in_transaction(record.driver_connection):
        raise ConfigurationError(
            "the engine's StaticPool gives all callers one connection, and somebody has a transaction open on it; "
            "give sessionstore an engine whose pool gives each caller a connection of its own"
        )


async def prepare(lease: Lease, mode: Mode) -> None:
    """Ends a transaction that is open on a connection, and puts the connection into AUTOCOMMIT.

    Raises:
        ConfigurationError: The connection cannot be put into AUTOCOMMIT.
    """
    driver, info = lease.driver, lease.pooled.info
    if mode.in_transaction(driver):
        # An event that ran SQL and did not commit: whoever is next commits it. What somebody else left open on a
        # connection that was ours before is rolled back, as the pool would do it.
        events = _SEEN not in info or bool(lease.pool.dispatch.checkout)
        await mode.end(lease.pooled, commit=events)
    await mode.check(driver)
    if not mode.ready(driver):
        lease.before = await mode.enter(driver)
    if not mode.ready(driver):
        raise ConfigurationError(
            "a connection of this engine cannot be put into AUTOCOMMIT, so that nothing would be committed; "
            "see what its events set"
        )
    lease.since = info.setdefault(_SEEN, monotonic())
