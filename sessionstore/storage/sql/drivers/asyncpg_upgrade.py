"""A patch of asyncpg's TLS upgrade: a cancelled connection attempt leaves no error for asyncio to log."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

_NAME = "TLSUpgradeProto"


def retrieve_errors() -> None:
    """Keeps asyncio from logging an error of a connection attempt that was cancelled before its TLS upgrade began.

    If the attempt is cancelled at the moment when the socket has connected, asyncpg stops waiting for the server's
    answer. Then nobody retrieves the error of the future, and asyncio would log the error. Code that does wait for the
    future gets the error as before.
    """
    # asyncpg has no public name for the class, and gives its instances to nobody. So the class is replaced.
    utils: Any = import_module("asyncpg.connect_utils")
    protocol: Any = getattr(utils, _NAME, None)
    if protocol is None or issubclass(protocol, _Retrieving):
        return

    class TLSUpgradeProto(_Retrieving, protocol):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            protocol.__init__(self, *arguments, **options)
            self.on_data.add_done_callback(_retrieved)

    utils.TLSUpgradeProto = TLSUpgradeProto


class _Retrieving:
    """Marks the class that replaces the one of asyncpg."""


def _retrieved(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()  # marks the exception as retrieved
