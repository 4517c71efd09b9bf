"""How long statements, idle connections and those who wait for one may take."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take.

    Attributes:
        statement_seconds: The bound of a statement, measured here.
        idle_seconds: A connection that was idle for longer is replaced, because firewalls forget such connections.
        connection_wait: For how long a call waits for a connection where the database gives no more.
    """

    statement_seconds: float = inf
    idle_seconds: float = inf
    connection_wait: float = 30.0
