"""All faults, and how often each happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from .broken_wire import broken_wire
from .failover import failover
from .full_disk import full_disk
from .held_row import held_row
from .killed_client import killed_client
from .killed_server import killed_server
from .server import Cluster
from .succession import ended_loops, forked
from .tally import Row
from .terminated import terminated
from .wrong_clock import wrong_clock


class Soak(NamedTuple):
    """A kind of faults.

    Attributes:
        run: Lets each of them happen so many times, on a server or beside it.
        long: How often in the long form.
        short: How often in the short form.
    """

    run: Callable[[Cluster, int], Awaitable[list[Row]]]
    long: int
    short: int


SOAKS: Final[Mapping[str, Soak]] = {
    "server": Soak(killed_server, 50, 3),
    "terminate": Soak(terminated, 500, 40),
    "wire": Soak(broken_wire, 200, 20),
    "held": Soak(held_row, 200, 10),
    "failover": Soak(failover, 5, 1),
    "client": Soak(killed_client, 50, 4),
    "disk": Soak(full_disk, 10, 1),
    "clock": Soak(wrong_clock, 50, 4),
    "fork": Soak(forked, 100, 6),
    "loop": Soak(ended_loops, 200, 6),
}
