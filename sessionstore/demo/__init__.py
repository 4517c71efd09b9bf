"""The demo: replays recorded conversations with many workers, as a service would, and checks each conversation.

    dialogues = load(shipped())
    async with open_storage(url, clock=clock) as storage:
        report = await replay(dialogues, storage, workers=8)
        assert report.ok

The demo is also the largest example of a service that uses the library; begin with `service.py`.
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
