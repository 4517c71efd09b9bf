"""A web application that gunicorn loads before it forks: each request counts a session up, in a loop of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Any

from sessionstore import SessionManager, open_storage
from sessionstore.testing.support.documents import increment, new_chat

sessions = SessionManager(new_chat, open_storage(os.environ["SESSIONSTORE_DATABASE_URL"]), "preloaded")


async def warm_up() -> None:
    await asyncio.gather(*(sessions.create_session(f"s{at}") for at in range(8)))


loop = asyncio.new_event_loop()
loop.run_until_complete(warm_up())  # and left open, with its connections


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    session_id = environ["PATH_INFO"].strip("/")
    result = asyncio.run(sessions.update_session(session_id, increment))
    state = result.unwrap()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{state['id']} {state['n']} {os.getpid()}".encode()]
