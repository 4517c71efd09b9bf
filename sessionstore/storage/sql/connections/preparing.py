"""Makes a connection that comes out of the pool ready: its settings are checked, and AUTOCOMMIT is set."""

from __future__ import annotations

from time import monotonic
from typing import Final

from sqlalchemy import StaticPool

from ....errors import ConfigurationError
from .lease import Lease
from .modes import Mode

_SEEN: Final = "sessionstore"
"""The key, in the `info` of a connection, of the time at which our operations first had the connection."""


def check_shared(pool: StaticPool, mode: Mode) -> None:
    """Refuses the pool's only connection while a transaction is open on it, which would end with our operation.

    Raises:
        ConfigurationError: A transaction is open on the connection.
    """
    record = vars(pool).get("connection")  # None before the first check-out
    if record is not None and record.in_use and mode.in_transaction(record.driver_connection):
        raise ConfigurationError(
            "the engine's StaticPool gives all callers the same connection, and another caller has a transaction open "
            "on it; give sessionstore an engine whose pool gives each caller a connection of its own"
        )


async def prepare(lease: Lease, mode: Mode) -> None:
    """Ends a transaction that is open on a connection, and puts the connection into AUTOCOMMIT.

    Raises:
        ConfigurationError: The connection cannot be put into AUTOCOMMIT.
    """
    driver, info = lease.driver, lease.pooled.info
    if mode.in_transaction(driver):
        # On a new connection, an event of the engine ran SQL and did not commit: its work is committed. A transaction
        # that another user of the pool left open is rolled back, as the pool would do.
        events = _SEEN not in info or bool(lease.pool.dispatch.checkout)
        await mode.end(lease.pooled, commit=events)
    await mode.check(driver)
    if not mode.ready(driver):
        lease.before = await mode.enter(driver)
    if not mode.ready(driver):
        raise ConfigurationError(
            "a connection of this engine cannot be put into AUTOCOMMIT, so nothing would be committed; "
            "find out whether an event listener of the engine sets another isolation level"
        )
    lease.since = info.setdefault(_SEEN, monotonic())
