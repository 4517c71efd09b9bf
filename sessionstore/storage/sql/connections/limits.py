"""Time limits: of a statement, of an idle connection and of the wait for a connection."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits in seconds.

    Attributes:
        statement_seconds: The time limit of a statement, measured in this process.
        idle_seconds: A connection that was idle for longer is replaced, because firewalls forget such connections.
        connection_wait: For how long a call waits for a connection while the database refuses new connections.
    """

    statement_seconds: float = inf
    idle_seconds: float = inf
    connection_wait: float = 30.0


LOCKING_SECONDS: Final = 2.0
"""How many seconds longer than a statement a transaction with row locks may run. The transaction waits for locks for at
most a second, and may run functions of callers."""
