"""Runs one operation on one connection, and tells the kind of fault if it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias, TypeVar

from ....concurrency.forks import keep_for_parent
from ....concurrency.sent import Outdated, noted
from ..causes import Stage
from ..dialects.dialect import Backend
from ..faults import Fault, refused_access
from .bounded import Left, bounded
from .checkout import Connections
from .lease import Lease, NeedsNewest

R = TypeVar("R")

Operation: TypeAlias = Callable[[Lease], Coroutine[Any, Any, R]]
"""A coroutine function that runs statements on one connection."""

_ENDED: Final = {Fault.LOST, Fault.ENDED, Fault.UNREAD}
"""After these, a connection is not used again."""
_UNTOLD: Final = {Fault.LOST, Fault.UNREAD}
"""After these, the write may have landed. With any other fault, the server has undone it."""
OF_ITS_CONNECTION: Final = {Fault.READ_ONLY, Fault.STALE}
"""Faults of a connection. The other open connections may have the fault too. So all of them are replaced."""


class Failure(Exception):
    """The error of an operation, its kind of fault, and the stage in which it was raised."""

    def __init__(self, error: Exception, fault: Fault | None, stage: Stage) -> None:
        super().__init__()
        self.error = error
        self.fault = fault
        self.stage = stage


async def operate(
    operation: Operation[R],
    connections: Connections,
    backend: Backend,
    seconds: float,
    *,
    writing: bool,
    access: bool,
    new: bool,
    previous: bool,
) -> R:
    """Runs an operation on one connection, and gives the connection back, or closes it.

    Args:
        operation: What to run.
        connections: Where the connection comes from.
        backend: The database.
        seconds: For how many seconds the operation may run.
        writing: Whether the operation writes.
        access: Whether the operation writes for the sake of a read, see Gateway.run().
        new: Whether an earlier attempt had all connections replaced, so that this one is new.
        previous: Whether the tables are at the previous revision.

    Raises:
        Failure: The operation failed, or there is no connection.
        Outdated: A caller was told that nothing is written, and nothing was sent.
    """
    try:
        lease = await connections.take()
    except Exception as error:
        fault = backend.fault(error, connected=False, alive=False)
        raise Failure(error, fault, Stage.CONNECTING) from error
    driver = backend.driver
    if access and connections.readers.has(lease):
        await connections.give_back(lease)
        raise Failure(refused_access(backend.name), None, Stage.CONNECTED)
    lease.previous = previous
    lease.sent, lease.reported = noted() if writing else None, None
    if lease.sent is not None and lease.sent.given_up:
        await connections.give_back(lease)
        raise Outdated
    try:
        running = operation(lease)
        outcome = await (bounded(running, seconds) if backend.interruptible else running)
    except Left as left:
        if connections.inherited:
            keep_for_parent(left.rest)  # a finally block of the driver could touch the parent's socket
            raise left.cancelled or asyncio.CancelledError from None
        answered = await connections.part(lease, left)
        if left.cancelled is not None:
            raise left.cancelled from None
        fault = Fault.SLOW if answered else Fault.SILENT
        raise Failure(TimeoutError(), fault, Stage.LOST) from None
    except Outdated:
        await (connections.discard(lease, lost=False) if lease.spoilt else connections.give_back(lease))
        raise
    except Exception as error:
        alive = driver.alive(lease.driver)
        unsent = isinstance(error, NeedsNewest)
        fault = None if unsent else backend.fault(error, connected=True, alive=alive)
        if fault is Fault.READ_ONLY and access and connections.readers.keep(lease, new=new):
            await connections.give_back(lease)
            raise Failure(refused_access(backend.name), None, Stage.CONNECTED) from error
        if lease.reported is not None and alive and fault not in _UNTOLD:
            lease.reported.take_back()
        if fault in OF_ITS_CONNECTION:
            await connections.discard(lease, lost=False, others=True)
        elif fault in _ENDED or lease.spoilt or not driver.at_rest(lease.driver):
            await connections.discard(lease, lost=fault is Fault.LOST)
        else:
            await connections.give_back(lease)
        raise Failure(error, fault, Stage.CONNECTED if alive else Stage.LOST) from error
    except GeneratorExit:
        connections.leave(lease)  # the loop or the process of this call ended
        raise
    except BaseException:
        # Cancelled in the middle of a statement: an answer may still arrive on this connection.
        await connections.discard(lease, lost=False)
        raise
    await connections.give_back(lease)
    return outcome
