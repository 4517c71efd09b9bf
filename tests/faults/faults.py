"""All faults, and how often each happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from .broken_wire import broken_wire
from .cancelled_calls import cancelled_calls
from .dead_connections import dead_connections
from .failover import failover
from .few_connections import few_connections
from .full_disk import full_disk
from .held_row import held_row
from .killed_client import killed_client
from .killed_server import killed_server
from .late_landings import late_landings
from .rebuilt_index import rebuilt_index
from .refused_batches import refused_batches
from .replaced_file import replaced_file
from .server import Cluster
from .stale_statements import stale_statements
from .succession import ended_loops, ended_threads, forked
from .switched_name import switched_name
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
    "late": Soak(late_landings, 100, 4),
    "dead": Soak(dead_connections, 20, 2),
    "few": Soak(few_connections, 100, 6),
    "stale": Soak(stale_statements, 100, 2),
    "failover": Soak(failover, 5, 1),
    "switch": Soak(switched_name, 10, 2),
    "file": Soak(replaced_file, 50, 4),
    "client": Soak(killed_client, 50, 4),
    "disk": Soak(full_disk, 10, 1),
    "clock": Soak(wrong_clock, 50, 4),
    "fork": Soak(forked, 100, 6),
    "loop": Soak(ended_loops, 200, 6),
    "thread": Soak(ended_threads, 200, 4),
    "cancel": Soak(cancelled_calls, 500, 8),
    "size": Soak(refused_batches, 100, 4),
    "index": Soak(rebuilt_index, 200, 4),
}
