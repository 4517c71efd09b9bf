"""Finding items by their ids, in whichever session they are."""

from __future__ import annotations

import json

import pytest

from sessionstore import StorageProvider
from sessionstore.storage import Append, Fork, Found, NewItem

from ...clock import ManualClock
from ...support.documents import MOMENT, TTL, key, put


async def _say(storage: StorageProvider, session_id: str, *ids: str, namespace: str = "chat", log: str = "") -> None:
    new = [NewItem(json.dumps(f"{session_id}:{item_id}"), item_id, log) for item_id in ids]
    assert (await storage.append_many([Append(key(session_id, namespace), new)]))[0] is not None


def _found(results: object) -> list[tuple[str, int, str] | None]:
    assert isinstance(results, (list, tuple))
    return [it and (it.summary.key.session_id, it.item.position, it.item.text) for it in results]


async def test_an_item_is_found_with_its_session(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s", owner_id="u1", origin='{"a":1}')
    clock.advance(MOMENT)
    await _say(storage, "s", "a", "b")
    (found,) = await storage.find_many("chat", ["b"])
    document = await storage.get(key(), touch=False)
    assert document is not None
    assert isinstance(found, Found)
    assert found.summary == document.summary
    assert found.item == (2, '"s:b"', clock.now, 1)


async def test_each_id_has_an_answer_of_its_own(storage: StorageProvider) -> None:
    await put(storage, "s", "t")
    names = ["a", "A", "%", "'", '"', "\\", "\u00e4", "\U0001f600", " a"]
    await _say(storage, "s", *names)
    await _say(storage, "t", "b", log="log")
    asked = ["b", "nobody", *names, "b", ""]
    found = _found(await storage.find_many("chat", asked))
    of_t = ("t", 1, '"t:b"')
    assert found[:2] == [of_t, None]
    assert [it and it[1] for it in found[2:-2]] == [*range(1, len(names) + 1)]
    assert found[-2:] == [of_t, None]
    assert list(await storage.find_many("chat", [])) == []


async def test_an_item_is_found_in_its_namespace_only(storage: StorageProvider) -> None:
    await put(storage, "s")
    await put(storage, "s", namespace="other")
    await _say(storage, "s", "a")
    await _say(storage, "s", "b", namespace="other")
    assert _found(await storage.find_many("chat", ["a", "b"])) == [("s", 1, '"s:a"'), None]
    assert _found(await storage.find_many("other", ["a", "b"])) == [None, ("s", 1, '"s:b"')]


async def test_an_item_is_found_for_the_owner_of_its_session(storage: StorageProvider) -> None:
    await put(storage, "s", owner_id="u1")
    await put(storage, "nobody")
    await _say(storage, "s", "a")
    await _say(storage, "nobody", "b")
    for owner_id, found in ((None, [True, True]), ("u1", [True, False]), ("u2", [False, False])):
        results = await storage.find_many("chat", ["a", "b"], owner_id=owner_id)
        assert [it is not None for it in results] == found


async def test_the_session_that_was_created_first_is_found(storage: StorageProvider, clock: ManualClock) -> None:
    for name, owner_id in (("z", "u1"), ("a", "u2"), ("m", "u1")):
        await put(storage, name, owner_id=owner_id)
        await _say(storage, name, "x")
        clock.advance(MOMENT)
    assert _found(await storage.find_many("chat", ["x"])) == [("z", 1, '"z:x"')]
    assert _found(await storage.find_many("chat", ["x"], owner_id="u2")) == [("a", 1, '"a:x"')]
    assert await storage.delete(key("z"))
    assert _found(await storage.find_many("chat", ["x"])) == [("a", 1, '"a:x"')]


async def test_the_first_key_is_found_among_sessions_created_at_once(storage: StorageProvider) -> None:
    await put(storage, "b", "a", "c")
    for name in ("b", "a", "c"):
        await _say(storage, name, "x")
    assert _found(await storage.find_many("chat", ["x"])) == [("a", 1, '"a:x"')]


@pytest.mark.parametrize("gone", ["expired", "deleted"])
async def test_items_of_a_session_that_is_gone_are_not_found(
    storage: StorageProvider, clock: ManualClock, gone: str
) -> None:
    await put(storage, "s")
    await _say(storage, "s", "a")
    if gone == "expired":
        clock.advance(TTL * 2)
    else:
        await storage.delete(key())
    assert list(await storage.find_many("chat", ["a"])) == [None]


async def test_finding_is_no_access(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    await _say(storage, "s", "a")
    before = await storage.get(key(), touch=False)
    clock.advance(TTL * 0.9)
    assert (await storage.find_many("chat", ["a"]))[0] is not None
    assert await storage.get(key(), touch=False) == before


async def test_an_item_is_found_in_the_session_that_was_forked(storage: StorageProvider, clock: ManualClock) -> None:
    await put(storage, "s")
    await _say(storage, "s", "a")
    clock.advance(MOMENT)
    assert await storage.fork(Fork(key(), key("copy"))) is not None
    assert _found(await storage.find_many("chat", ["a"])) == [("s", 1, '"s:a"')]
    await storage.delete(key())
    assert _found(await storage.find_many("chat", ["a"])) == [("copy", 1, '"s:a"')]
