"""The demo: replays recorded conversations as a service with many workers would, and checks each of them.

    dialogues = load(shipped())
    async with open_storage(url, clock=clock) as storage:
        report = await replay(dialogues, storage, workers=8)
        assert report.ok

It is also the largest example of how the library is used; begin with `service.py`.
"""

from __future__ import annotations

from .checking import Comparison, compare
from .dialogues import Dialogue, load, shipped
from .expiry import DemoClock, Expiry, expire
from .replaying import Report, replay
from .service import ChatService

__all__ = [
    "ChatService",
    "Comparison",
    "DemoClock",
    "Dialogue",
    "Expiry",
    "Report",
    "compare",
    "expire",
    "load",
    "replay",
    "shipped",
]
