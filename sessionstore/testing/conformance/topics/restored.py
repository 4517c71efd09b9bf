"""Restores: after a table was put back to an earlier content, versions come back with other states."""

from __future__ import annotations

import json
import pickle

import pytest_asyncio

from sessionstore import SessionConflictError, SessionManager, StorageProvider
from sessionstore.storage import Write

from ...support.documents import Chat, append, draft, key, rewrite
from ..given import Managed, OpenAnother, Saved


@pytest_asyncio.fixture(loop_scope="function")
async def others(open_another: OpenAnother, managed: Managed) -> SessionManager[Chat]:
    """A manager of the same sessions, as in another process."""
    return managed(await open_another())


async def test_a_version_from_before_a_restore_is_a_conflict(
    chats: SessionManager[Chat], others: SessionManager[Chat], saved: Saved
) -> None:
    await chats.create_session("s")
    restore = saved()
    mine = await chats.update_session("s", append("mine"))
    restore()
    theirs = await others.update_session("s", append("theirs"))
    assert mine.version == theirs.version
    for expected in (mine.version, pickle.loads(pickle.dumps(mine.version))):  # noqa: S301
        refused = await chats.update_session("s", append("on mine"), expected_version=expected)
        assert isinstance(refused.error, SessionConflictError)
        assert (refused.error.expected, refused.error.actual) == (mine.version, theirs.version)
        assert "restored" in str(refused.error)
    assert (await chats.get_session("s")).unwrap()["turns"] == ["theirs"]
    landed = await chats.update_session("s", append("on theirs"), expected_version=theirs.version)
    assert landed.unwrap()["turns"] == ["theirs", "on theirs"]


async def test_a_version_from_before_a_restore_deletes_nothing(
    chats: SessionManager[Chat], others: SessionManager[Chat], saved: Saved
) -> None:
    await chats.create_session("s")
    restore = saved()
    mine = await chats.update_session("s", append("mine"))
    restore()
    theirs = await others.update_session("s", append("theirs"))
    refused = await chats.delete_session("s", expected_version=mine.version)
    assert isinstance(refused.error, SessionConflictError)
    assert "restored" in str(refused.error)
    assert (await chats.delete_session("s", expected_version=theirs.version)).unwrap() is True


async def test_a_version_that_was_sent_as_a_number_is_compared_as_one(chats: SessionManager[Chat]) -> None:
    created = await chats.create_session("s")
    assert created.version is not None
    sent = json.loads(json.dumps({"version": created.version}))["version"]
    assert type(sent) is int
    assert (await chats.update_session("s", append("x"), expected_version=sent)).success


async def test_an_update_after_a_restore_begins_with_the_restored_state(
    chats: SessionManager[Chat], others: SessionManager[Chat], saved: Saved
) -> None:
    """This process wrote the session a moment ago, so the update begins with the state in the write cache."""
    await chats.create_session("s")
    restore = saved()
    await chats.update_session("s", append("mine"))
    restore()
    await others.update_session("s", append("theirs"))
    assert (await chats.update_session("s", append("later"))).unwrap()["turns"] == ["theirs", "later"]
    assert (await others.get_session("s")).unwrap()["turns"] == ["theirs", "later"]


async def test_a_restore_between_reading_and_writing_loses_nothing(
    chats: SessionManager[Chat], others: SessionManager[Chat], storage: StorageProvider, saved: Saved
) -> None:
    await chats.create_session("s")
    restore = saved()
    await chats.update_session("s", append("mine"))
    read = await storage.get(key())
    assert read is not None
    restore()
    await others.update_session("s", append("theirs"))
    assert await storage.update(rewrite(read)) is None
    assert (await others.get_session("s")).unwrap()["turns"] == ["theirs"]


async def test_a_version_from_set_differs_from_one_of_before_a_restore(storage: StorageProvider, saved: Saved) -> None:
    created = (await storage.create(draft())).document.summary
    restore = saved()
    first = await storage.set(draft(state="[1]"))
    restore()
    second = await storage.set(draft(state="[2]"))
    assert first.version == second.version == created.version + 1
    assert await storage.update(Write(first, "[3]")) is None
    assert await storage.update(Write(second, "[3]")) is not None
