"""Every call of managers and providers, made on a storage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeAlias

from sessionstore import OrchestrationStateManager, Reaper, SessionManager, SqlStorageProvider, StorageProvider
from sessionstore.storage import Document, Window, Write
from sessionstore.testing.support.documents import Chat, draft, increment, key, new_chat, rewrite

Call: TypeAlias = Callable[[SqlStorageProvider], Coroutine[Any, Any, Any]]
PATIENCE = 5.0


def chats_on(storage: StorageProvider) -> SessionManager[Chat]:
    return SessionManager(new_chat, storage, namespace="chat")


def _chat(session_id: str, n: int = 1) -> str:
    return json.dumps({**new_chat(session_id), "n": n})


def _count(document: Document) -> Write:
    state = json.loads(document.state)
    return rewrite(document, json.dumps({**state, "n": state["n"] + 1}))


async def _update_many(storage: SqlStorageProvider) -> None:
    documents = await storage.get_many([key("a"), key("b")], touch=False)
    await storage.update_many([_count(document) for document in documents if document is not None])


async def together(storage: SqlStorageProvider) -> None:
    await asyncio.gather(*(chats_on(storage).update_session("s", increment) for _ in range(5)))


async def _pages(storage: SqlStorageProvider) -> None:
    page = await storage.list("chat", limit=2)
    while page.next is not None:
        page = await storage.list("chat", limit=2, after=page.next)


async def _reap_beside(storage: SqlStorageProvider) -> None:
    reaped = asyncio.Event()
    async with Reaper(storage, batch_size=1).every(timedelta(hours=1), on_report=lambda _: reaped.set()):
        await reaped.wait()


async def _orchestrate(storage: SqlStorageProvider) -> None:
    states = OrchestrationStateManager(storage)
    await states.get_or_create_state("o")
    await states.add_used_tool("o", "search")
    await states.reset_state("o")
    await states.cleanup_session("o")


MANAGER: dict[str, Call] = {
    "create_session": lambda storage: chats_on(storage).create_session("new"),
    "create_session that is there": lambda storage: chats_on(storage).create_session("s"),
    "get_session": lambda storage: chats_on(storage).get_session("s"),
    "get_session without touch": lambda storage: chats_on(storage).get_session("s", touch=False),
    "update_session": lambda storage: chats_on(storage).update_session("s", increment),
    "update_session with a timeout": lambda storage: chats_on(storage).update_session(
        "s", increment, timeout=timedelta(seconds=PATIENCE)
    ),
    "update_session with a key": lambda storage: chats_on(storage).update_session("s", increment, idempotency_key="k"),
    "updates together": together,
    "delete_session": lambda storage: chats_on(storage).delete_session("s"),
    "orchestration": _orchestrate,
}
PROVIDER: dict[str, Call] = {
    "create_many": lambda storage: storage.create_many([draft("new-1", _chat("new-1")), draft("new-2"), draft("s")]),
    "get_group": lambda storage: storage.get_group([key("a"), key("nobody")], window=Window(limit=2)),
    "get_many": lambda storage: storage.get_many([key("a"), key("b"), key("nobody")]),
    "get": lambda storage: storage.get(key("s")),
    "update_many": _update_many,
    "update_locked": lambda storage: storage.update_locked(key("s"), _count),
    "update_locked_many": lambda storage: storage.update_locked_many([key("a"), key("b")], _count),
    "delete_many": lambda storage: storage.delete_many([key("a"), key("b")]),
    "set_many": lambda storage: storage.set_many([draft("a", _chat("a")), draft("b", _chat("b")), draft("new")]),
    "exists_many": lambda storage: storage.exists_many([key("a"), key("nobody")]),
    "touch_many": lambda storage: storage.touch_many([key("a"), key("nobody")]),
    "touch": lambda storage: storage.touch(key("s")),
    "list": _pages,
    "clear": lambda storage: storage.clear("chat", prefix="old"),
    "purge_batch": lambda storage: storage.purge_batch(limit=1),
    "count_expired": lambda storage: storage.count_expired(),
    "stats": lambda storage: storage.stats(),
    "Reaper.run_once": lambda storage: Reaper(storage, batch_size=1).run_once(),
    "Reaper.every": _reap_beside,
}
