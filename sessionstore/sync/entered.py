"""Enters asynchronous context managers for threads."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager, contextmanager

from .link import Link


@contextmanager
def entered(link: Link, manager: AbstractAsyncContextManager[None]) -> Generator[None]:
    """Enters a context manager in the event loop, and leaves it at the end of the block.

    A child that is forked inside the block does not leave the context manager, which runs in the parent only.
    """
    process = os.getpid()
    link.run(_enter(manager))
    try:
        yield
    finally:
        if os.getpid() == process:
            link.run(_leave(manager))


async def _enter(manager: AbstractAsyncContextManager[None]) -> None:
    await manager.__aenter__()


async def _leave(manager: AbstractAsyncContextManager[None]) -> None:
    await manager.__aexit__(None, None, None)
