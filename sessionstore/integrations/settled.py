"""Changes that end before a cancellation reaches the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


async def settled(change: Coroutine[Any, Any, R]) -> R:
    """Waits until a change has landed or failed. A cancellation of the caller is raised after that.

    Args:
        change: The change. It runs in a task of its own.

    Raises:
        CancelledError: The caller was cancelled, or the change was. If the change failed, its error is the cause.
    """
    task = asyncio.ensure_future(change)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()
