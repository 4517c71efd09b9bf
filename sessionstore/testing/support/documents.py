"""Short functions that make the arguments for a storage and a manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sessionstore import StorageProvider
from sessionstore.storage import Document, Draft, Key, Summary, Write

from ..clock import ManualClock

Chat: TypeAlias = dict[str, Any]

TTL = timedelta(minutes=30)
MOMENT = timedelta(microseconds=1)


def new_chat(session_id: str) -> Chat:
    return {"id": session_id, "n": 0, "turns": []}


def increment(state: Chat) -> None:
    state["n"] += 1


def append(turn: object) -> Callable[[Chat], None]:
    return lambda state: state["turns"].append(turn)


def set_to(n: int) -> Callable[[Chat], Chat]:
    return lambda state: {**state, "n": n}


def key(session_id: str = "s", namespace: str = "chat") -> Key:
    return Key(namespace, session_id)


def draft(session_id: str = "s", state: str = "{}", *, namespace: str = "chat", **facts: Any) -> Draft:
    return Draft(key(session_id, namespace), state, **{"ttl": TTL, **facts})


def summary(session_id: str = "s") -> Summary:
    """Returns the summary of a session that does not exist."""
    then = datetime(2026, 1, 1, tzinfo=UTC)
    return Summary(key(session_id), 1, then, then, then, None, None, None, None, None)


def rewrite(document: Document, state: str | None = None) -> Write:
    """Returns a write on the document, with its own state or with another one."""
    return Write(document.summary, document.state if state is None else state)


def ids(summaries: Iterable[Summary]) -> list[str]:
    return [summary.key.session_id for summary in summaries]


async def put(storage: StorageProvider, *session_ids: str, **facts: Any) -> None:
    """Creates sessions with the same facts."""
    await storage.create_many([draft(session_id, **facts) for session_id in session_ids])


async def end(storage: StorageProvider, clock: ManualClock, how: str) -> None:
    """Ends the session of key() by "delete", "clear" or "purge". The storage has no other session."""
    if how == "delete":
        assert await storage.delete(key())
    elif how == "clear":
        assert await storage.clear() == 1
    else:
        clock.advance(2 * TTL)
        assert await storage.purge_expired() >= 1
