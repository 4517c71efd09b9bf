"""Uses of the adapter as a type checker sees them."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_type

from agents import Agent, Runner
from agents.items import TResponseInputItem
from agents.memory import Session, SessionABC, SessionSettings

from sessionstore import MemoryStorageProvider
from sessionstore.integrations.openai_agents import StoredSession


async def uses(agent: Agent[None]) -> None:
    storage = MemoryStorageProvider()
    session = StoredSession("c1", storage, namespace="chat", ttl=timedelta(days=1), session_settings={"limit": 5})
    StoredSession("c1", storage, ttl=None, session_settings=SessionSettings(limit=5), owner_id="u1", max_item_bytes=5)
    takes(session, session)
    assert_type(await session.get_items(limit=5), list[TResponseInputItem])
    assert_type(await session.pop_item(), TResponseInputItem | None)
    await session.add_items([{"role": "user", "content": "hello"}])
    await session.clear_session()
    await Runner.run(agent, "hello", session=session)
    StoredSession(5, storage)  # type: ignore[arg-type]
    StoredSession("c1", storage, "chat")  # type: ignore[call-arg]
    StoredSession("c1", "sqlite:///chats.db")  # type: ignore[arg-type]


def takes(session: Session, other: SessionABC) -> None:
    """What the SDK's functions ask for."""
