"""The TLS upgrade of asyncpg: its errors are retrieved also where a connection attempt was cancelled."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

_NAME = "TLSUpgradeProto"


def retrieve_errors() -> None:
    """Keeps asyncio from logging the end of an attempt to connect that was cancelled before its TLS upgrade began.

    If the attempt is cancelled in the moment in which the socket has connected, asyncpg waits for the answer of the
    server no more, and nobody else can. Whoever does wait gets the error as before.
    """
    # There is no public name, and no way to the protocol, which only asyncpg's own function sees.
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
    """Marks the class that stands for asyncpg's own."""


def _retrieved(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()  # marks the exception as retrieved
