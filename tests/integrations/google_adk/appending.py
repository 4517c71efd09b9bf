"""A process that appends: ``python -m tests.integrations.google_adk.appending URL NAME COUNT [KILL]``.

With KILL it kills itself in the middle of its first append: "noted", before the session is written; "written", right
after; "applied", after the first of the shared states was set; "told", when all is done but the answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.events import Event

from sessionstore import open_storage
from sessionstore.integrations import shared
from sessionstore.integrations.google_adk import StoredSessionService

from .events import event, loaded


def _killed(*_: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(where: str) -> None:
    """Has this process killed at a place of the next append."""
    states = shared.SharedStates
    noted, applied, apply = states.noted, states.applied, states._apply

    async def after_noted(self: Any, wanted: Any) -> Any:
        await noted(self, wanted)
        return _killed()

    async def after_apply(self: Any, change: Any) -> Any:
        await apply(self, change)
        return _killed()

    async def after_applied(self: Any, changes: Any) -> Any:
        await applied(self, changes)
        return _killed()

    if where == "noted":
        states.noted = after_noted  # type: ignore[method-assign]
    elif where == "written":
        states.applied = _killed  # type: ignore[assignment,method-assign]
    elif where == "applied":
        states._apply = after_apply  # type: ignore[method-assign]
    else:
        states.applied = after_applied  # type: ignore[method-assign]


async def main(url: str, name: str, count: str, *kill: str) -> None:
    async with open_storage(url) as storage:
        service = StoredSessionService(storage)
        if kill:
            session = await loaded(service)
            kill_at(kill[0])
            await service.append_event(session, Event.model_validate_json(sys.stdin.read()))
        for number in range(int(count)):
            new = event(f"{name}-{number}", **{name: number, f"app__{name}": number, "app__last": f"{name}-{number}"})
            while True:
                try:
                    await service.append_event(await loaded(service), new)
                except StaleSessionError:
                    continue
                break


asyncio.run(main(*sys.argv[1:]))
