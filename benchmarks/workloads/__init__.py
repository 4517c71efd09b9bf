"""What is measured, each in a file: a function `run()` that is given a Bench and returns a Section."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from ..bench import Bench
from ..report import Section
from . import (
    contended,
    conversation,
    fleet,
    get,
    growth,
    held,
    hot,
    memory,
    migration,
    processes,
    read_modify_write,
    reaping,
    threads,
)

Workload: TypeAlias = Callable[[Bench], Awaitable[Section]]

WORKLOADS: Final[Mapping[str, Workload]] = {
    "rmw": read_modify_write.run,
    "get": get.run,
    "conversation": conversation.run,
    "contended": contended.run,
    "held": held.run,
    "processes": processes.run,
    "fleet": fleet.run,
    "threads": threads.run,
    "hot": hot.run,
    "growth": growth.run,
    "reaper": reaping.run,
    "migration": migration.run,
    "memory": memory.run,
}
"""In the order of the report."""
