"""Work in a new process, whose memory nobody else has used before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def apart(work: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs a coroutine function of some module in an event loop of a process of its own; all of it must be picklable.

    A process that has run other things holds memory that they gave back, and what is measured then takes that first.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        return await asyncio.wrap_future(processes.submit(_run, work, args, kwargs))


def _run(work: Callable[..., Coroutine[Any, Any, R]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
    return asyncio.run(work(*args, **kwargs))
