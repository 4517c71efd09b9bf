"""The names of the logs of a session."""

from __future__ import annotations

from typing import Any

from sessionstore import SessionManager, StorageProvider
from sessionstore.storage import Edit, Window

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, draft, key, put
from ...support.logs import fill, window_of

NAMES = ["", " ", "%", "'", "A", "B", "a", "a:b", "b", "~", "\u00e4", "\u2028", "\uffff", "\U0001f600", "\U0010ffff"]


async def _names(storage: StorageProvider, session: str = "s", owner_id: str | None = None) -> list[str] | None:
    found = await storage.list_logs(key(session), owner_id=owner_id)
    return None if found is None else list(found.names)


async def test_the_logs_that_have_items_are_named_in_order(storage: StorageProvider) -> None:
    await put(storage, "s", "other")
    for name in reversed(NAMES):
        await fill(storage, "s", "1", "2", log=name)
    await fill(storage, "other", "1", log="elsewhere")
    assert await _names(storage) == sorted(NAMES) == NAMES
    found = await storage.list_logs(key())
    assert found is not None
    assert (found.summary.key, found.summary.item_count) == (key(), 2 * len(NAMES))


async def test_a_session_without_items_has_no_logs(storage: StorageProvider) -> None:
    await put(storage, "s")
    assert await _names(storage) == []


async def test_a_log_whose_items_are_removed_is_not_named(storage: StorageProvider) -> None:
    await put(storage, "s")
    for name in ("", "a", "b"):
        await fill(storage, "s", "1", "2", log=name)
    await storage.edit(Edit(key(), "a", after=0))
    assert await _names(storage) == ["", "b"]
    await storage.edit(Edit(key(), "b", newest=1))
    assert await _names(storage) == ["", "b"]
    await storage.edit(Edit(key(), "", keep=0))
    await storage.edit(Edit(key(), "b", keep=0))
    assert await _names(storage) == []
    await fill(storage, "s", "3", log="a")
    assert await _names(storage) == ["a"]


async def test_a_session_that_is_absent_deleted_or_expired_has_none(
    storage: StorageProvider, clock: ManualClock
) -> None:
    assert await _names(storage) is None
    await put(storage, "s", "t")
    for session in ("s", "t"):
        await fill(storage, session, "1", log="a")
    await storage.delete(key("t"))
    expires_at = (await window_of(storage, "s", Window())).summary.expires_at
    assert expires_at is not None
    clock.now = expires_at - MOMENT
    assert await _names(storage) == ["a"]
    clock.now = expires_at
    assert [await _names(storage), await _names(storage, "t")] == [None, None]
    await put(storage, "s", "t")
    assert [await _names(storage), await _names(storage, "t")] == [[], []]


async def test_the_logs_of_another_owner_are_not_named(storage: StorageProvider) -> None:
    await storage.create_many([draft("s", owner_id="u1"), draft("t")])
    for session in ("s", "t"):
        await fill(storage, session, "1", log="a")
    assert [await _names(storage, owner_id=owner_id) for owner_id in ("u1", "u2", None)] == [["a"], None, ["a"]]
    assert [await _names(storage, "t", owner_id) for owner_id in ("u1", None)] == [None, ["a"]]


async def test_the_logs_of_many_sessions_are_named_each(storage: StorageProvider) -> None:
    await storage.create_many([draft("a", owner_id="u"), draft("b"), draft("c")])
    await fill(storage, "a", "1", log="x")
    await fill(storage, "b", "1", log="y")
    await fill(storage, "b", "1")
    asked = [key("b"), key("absent"), key("a"), key("c"), key("b")]
    found = await storage.list_logs_many(asked)
    assert [it and list(it.names) for it in found] == [["", "y"], None, ["x"], [], ["", "y"]]
    found = await storage.list_logs_many([key("a"), key("a"), key("b")], owners=["u", "v", None])
    assert [it and list(it.names) for it in found] == [["x"], None, ["", "y"]]
    assert list(await storage.list_logs_many([])) == []


async def test_naming_logs_is_no_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    await fill(storage, "s", "1")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL * 0.9)
    assert await _names(storage) == [""]
    assert await storage.get(key(), touch=False) == before


async def test_a_fork_has_the_logs_of_its_source(storage: StorageProvider) -> None:
    chats: SessionManager[Any] = SessionManager(lambda _: {}, storage)
    await chats.create_session("s", items=["m"])
    await chats.append_items("s", ["n"], log="a")
    await chats.fork_session("s", "copy")
    await chats.fork_session("s", "earlier", until=1)
    named = {name: await chats.list_logs(name) for name in ("s", "copy", "earlier")}
    assert {name: result.unwrap() for name, result in named.items()} == {
        "s": ("", "a"),
        "copy": ("", "a"),
        "earlier": ("",),
    }
    assert (named["s"].last_position, named["s"].items) == (2, ())
    missing = await chats.list_logs("absent")
    assert type(missing.error).__name__ == "SessionNotFoundError"
    refused = await chats.list_logs("")
    assert type(refused.error).__name__ == "InvalidSessionIdError"
