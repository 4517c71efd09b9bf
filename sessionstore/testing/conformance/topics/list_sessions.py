"""Listings of a namespace by a manager, page by page."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import ConfigurationError, SessionManager, SessionPage

from ...capability import Capability, needs
from ...clock import ManualClock
from ...support.documents import TTL, Chat, increment, new_chat
from ..given import Managed


def names(page: SessionPage[Any]) -> list[str]:
    return [info.session_id for info in page.sessions]


async def all_pages(chats: SessionManager[Chat], limit: int, **only: Any) -> list[list[str]]:
    page = await chats.list_sessions(limit=limit, **only)
    pages = [names(page)]
    while page.next is not None:
        page = await chats.list_sessions(limit=limit, after=page.next, **only)
        pages.append(names(page))
    return pages


@needs(Capability.ITEMS)
async def test_a_page_has_the_metadata_of_each_session(chats: SessionManager[Chat]) -> None:
    created = await chats.create_session("s", owner_id="u1", origin={"from": "web"}, items=["a", "b"])
    await chats.append_items("s", ["c"], log="other")
    await chats.pop_items("s")
    page = await chats.list_sessions()
    (info,) = page.sessions
    assert (info.session_id, info.version, info.item_count) == ("s", created.version, 2)
    assert (info.state, info.error, page.next) == (None, None, None)
    assert (info.metadata.owner_id, info.metadata.origin) == ("u1", {"from": "web"})
    found = await chats.get_session("s", touch=False)
    assert found.metadata == info.metadata
    assert (await chats.update_session("s", increment, expected_version=info.version)).success


async def test_states_come_if_they_are_asked_for(chats: SessionManager[Chat]) -> None:
    for name in ("a", "b"):
        await chats.create_session(name)
    await chats.update_session("b", increment)
    page = await chats.list_sessions(states=True)
    assert [info.state for info in page.sessions] == [new_chat("a"), {**new_chat("b"), "n": 1}]


async def test_sessions_are_listed_by_id_page_by_page(chats: SessionManager[Chat], managed: Managed) -> None:
    wanted = sorted(["a", "b", "B", "c%", "c_", "é", "😀", "z" * 255])
    for name in reversed(wanted):
        await chats.create_session(name)
    await managed(namespace="other").create_session("elsewhere")
    assert names(await chats.list_sessions()) == wanted
    assert await all_pages(chats, 3) == [wanted[:3], wanted[3:6], wanted[6:]]
    assert await all_pages(chats, 3, states=True) == [wanted[:3], wanted[3:6], wanted[6:]]
    assert names(await chats.list_sessions(prefix="c")) == ["c%", "c_"]
    assert names(await chats.list_sessions(prefix="c%")) == ["c%"]


async def test_the_sessions_of_an_owner_are_listed(chats: SessionManager[Chat]) -> None:
    for name, owner in (("a", "u1"), ("b", "u2"), ("c", None), ("d", "u1")):
        await chats.create_session(name, owner_id=owner)
    assert names(await chats.list_sessions(owner_id="u1")) == ["a", "d"]
    assert names(await chats.list_sessions(owner_id="u1", prefix="d")) == ["d"]
    assert names(await chats.list_sessions(owner_id="u3")) == []


@needs(Capability.ITEMS)
async def test_the_latest_change_comes_first(chats: SessionManager[Chat], clock: ManualClock) -> None:
    for name in "abcdef":
        await chats.create_session(name, owner_id="u1")
        clock.advance(timedelta(microseconds=1))
    await chats.update_session("b", increment)
    clock.advance(timedelta(microseconds=1))
    await chats.append_items("d", ["x"])
    clock.advance(timedelta(microseconds=1))
    await chats.get_session("a")
    recent = list("dbfeca")
    assert names(await chats.list_sessions(order="recent")) == recent
    assert names(await chats.list_sessions(order="recent", owner_id="u1")) == recent
    assert await all_pages(chats, 4, order="recent") == [recent[:4], recent[4:]]
    assert await all_pages(chats, 2, order="recent", owner_id="u1", states=True) == [
        recent[:2],
        recent[2:4],
        recent[4:],
    ]


async def test_expired_sessions_are_left_out_and_a_listing_is_no_access(
    chats: SessionManager[Chat], clock: ManualClock
) -> None:
    await chats.create_session("a")
    clock.advance(TTL)
    await chats.create_session("b")
    assert names(await chats.list_sessions(states=True)) == ["a", "b"]
    clock.advance(TTL / 2)
    assert names(await chats.list_sessions(states=True)) == ["b"]


async def test_a_state_that_cannot_be_read_does_not_end_the_listing(managed: Managed) -> None:
    plain: SessionManager[Any] = managed(default_state=lambda session_id: [session_id], namespace="mixed")
    await plain.create_session("a")
    typed: SessionManager[Any] = managed(state_type=dict, namespace="mixed")
    await typed.create_session("b")
    page = await typed.list_sessions(states=True)
    assert names(page) == ["a", "b"]
    assert [info.error is None for info in page.sessions] == [False, True]
    assert [info.state for info in page.sessions] == [None, new_chat("b")]
    assert page.sessions[0].version


@pytest.mark.parametrize("order", ["key", "recent"])
async def test_an_after_that_no_page_returned_is_refused(chats: SessionManager[Chat], order: Any) -> None:
    for name in ("a", "b"):
        await chats.create_session(name)
    other = await chats.list_sessions(limit=1, order="recent" if order == "key" else "key")
    forged = [urlsafe_b64encode(text.encode()).decode() for text in ("[]", "5", '["key"]', '["key","\\u0000"]', "{}")]
    forged += [urlsafe_b64encode(b'["recent","a","2026-01-01"]').decode(), urlsafe_b64encode(b"[" * 3000).decode()]
    for after in ("", "a", "é", "x" * 5000, "====", 5, b"a", ("a", "b"), other.next, *forged):
        bad: Any = after
        with pytest.raises(ConfigurationError, match="after"):
            await chats.list_sessions(after=bad, order=order)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, "1", None, 10**30])
async def test_a_limit_that_cannot_work_is_refused(chats: SessionManager[Chat], limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit"):
        await chats.list_sessions(limit=limit)


@pytest.mark.parametrize("order", ["newest", "", None, 5, ["key"]])
async def test_an_unknown_order_is_refused(chats: SessionManager[Chat], order: Any) -> None:
    with pytest.raises(ConfigurationError, match="order"):
        await chats.list_sessions(order=order)
