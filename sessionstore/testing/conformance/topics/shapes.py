"""States and items that change shape: two versions of a service's code on one storage."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import CorruptStateError, SessionManager, StorageProvider
from sessionstore.storage import Window

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, key
from ...support.logs import window_of
from ...support.people import ADA, Name, Person, nest, say, split, stored, visit
from ..given import Managed


def visit_old(state: Chat) -> None:
    state["visits"] += 1


@pytest.fixture
def old(managed: Managed) -> SessionManager[Chat]:
    return managed(default_state=lambda _: {"name": "Ada Lovelace", "visits": 0})


@pytest.fixture
def new(managed: Managed) -> SessionManager[Person]:
    return managed(
        default_state=lambda _: Person(name=Name(first="new"), visits=0),
        state_type=Person,
        state_version=3,
        upgrades={1: split, 2: nest},
        item_version=2,
        item_upgrades={1: say},
    )


async def versions_of_items(storage: StorageProvider, session_id: str = "s", log: str = "") -> list[int]:
    return [item.version for item in (await window_of(storage, session_id, Window(log))).items]


def refused(error: object, found: int, known: int) -> None:
    assert isinstance(error, CorruptStateError), error
    assert (error.found, error.known) == (found, known)
    assert f"version {found}" in str(error)
    assert f"up to {known}" in str(error)


async def test_an_older_state_is_read_in_the_new_shape_and_a_read_writes_nothing(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    made = await old.create_session("s")
    before = await stored(storage)
    read = await new.get_session("s")
    assert read.unwrap() == Person(name=ADA, visits=0)
    assert read.version == made.version
    assert (await new.create_session("s")).unwrap() == Person(name=ADA, visits=0)
    (listed,) = (await new.list_sessions(states=True)).sessions
    assert listed.state == Person(name=ADA, visits=0)
    assert await stored(storage) == before
    assert (await old.get_session("s")).unwrap() == {"name": "Ada Lovelace", "visits": 0}


async def test_the_next_update_writes_the_new_shape(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    made = await old.create_session("s")
    updated = await new.update_session("s", visit)
    assert updated.unwrap() == Person(name=ADA, visits=1)
    assert made.version is not None
    assert updated.version == made.version + 1
    assert (await stored(storage))[0] == 3
    assert (await new.update_session("s", visit)).unwrap().visits == 2
    assert (await new.get_session("s")).unwrap() == Person(name=ADA, visits=2)


@pytest.mark.parametrize("with_items", [False, True])
@pytest.mark.parametrize("expected", [False, True])
async def test_each_kind_of_update_keeps_the_version_of_its_state(
    storage: StorageProvider,
    old: SessionManager[Chat],
    new: SessionManager[Person],
    with_items: bool,
    expected: bool,
) -> None:
    version = (await old.create_session("s")).version
    options: dict[str, Any] = {"append": ["a"] if with_items else ()} | (
        {"expected_version": version} if expected else {"idempotency_key": "k"}
    )
    assert (await new.update_session("s", visit, **options)).unwrap().visits == 1
    assert (await stored(storage))[0] == 3
    assert (await new.get_session("s")).unwrap() == Person(name=ADA, visits=1)
    assert await versions_of_items(storage) == [2] * with_items


async def test_older_code_refuses_a_newer_state_and_writes_nothing(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    await new.create_session("s")
    before = await storage.get(key(), touch=False, window=Window())
    for result in (
        await old.get_session("s"),
        await old.update_session("s", visit_old),
        await old.update_session("s", visit_old, append=["lost"]),
        await old.create_session("s"),
    ):
        refused(result.error, 3, 1)
        assert result.data is None
    (listed,) = (await old.list_sessions(states=True)).sessions
    refused(listed.error, 3, 1)
    after = await storage.get(key(), touch=False, window=Window())
    assert before is not None
    assert after is not None
    assert (after.state, after.summary.version, list(after.items)) == (before.state, before.summary.version, [])


async def test_updates_in_one_batch_keep_the_shape_of_their_own_manager(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    """The storage has one update loop for both managers. It combines their updates, and caches what they wrote."""
    await old.create_session("s")
    assert (await old.update_session("s", visit_old)).success
    assert (await new.update_session("s", visit)).unwrap().visits == 2
    refused((await old.update_session("s", visit_old)).error, 3, 1)
    assert (await new.update_session("s", visit)).unwrap().visits == 3


async def test_a_fork_keeps_the_shapes(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    await old.create_session("s", items=["a"])
    assert (await new.fork_session("s", "t")).unwrap() == Person(name=ADA, visits=0)
    assert (await stored(storage, "t"))[0] == 1
    await new.update_session("s", visit, append=["b"])
    assert (await new.fork_session("s", "u")).unwrap() == Person(name=ADA, visits=1)
    assert (await stored(storage, "u"))[0] == 3
    assert await versions_of_items(storage, "u") == [1, 2]
    refused((await old.fork_session("s", "v")).error, 3, 1)


async def test_items_are_read_in_the_new_shape_wherever_they_are_read(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    await old.create_session("s", items=["a"], ids=["id"])
    await old.append_items("s", ["b"])
    await new.append_items("s", [{"said": "c"}])
    await new.update_session("s", visit, append=[{"said": "d"}])
    assert await versions_of_items(storage) == [1, 1, 2, 2]
    all_four = [{"said": text} for text in "abcd"]
    assert [item.data for item in (await new.get_session("s", last_items=9)).items] == all_four
    assert [item.data for item in (await new.get_items("s")).items] == all_four
    assert [item.data for item in (await new.get_items("s", ids=["id"])).items] == all_four[:1]
    assert [item.data for item in (await new.find_item("id")).items] == all_four[:1]
    assert [item.data for item in (await new.pop_items("s", 3)).items] == all_four[1:]
    await new.replace_item("s", 1, {"said": "other"})
    assert await versions_of_items(storage) == [2]
    await new.replace_items("s", [{"said": "anew"}], ids=["id"])
    assert await versions_of_items(storage) == [2]
    refused((await old.find_item("id")).error, 2, 1)


@pytest.mark.parametrize("options", [{"ids": ["1", "2"]}, {"idempotency_key": "k"}, {"log": "x"}, {"create": True}])
async def test_each_kind_of_append_keeps_the_version_of_its_items(
    storage: StorageProvider, new: SessionManager[Person], options: dict[str, Any]
) -> None:
    if "create" not in options:
        await new.create_session("s")
    assert len((await new.append_items("s", ["a", "b"], **options)).items) == 2
    assert await versions_of_items(storage, log=options.get("log", "")) == [2, 2]
    assert (await stored(storage))[0] == 3


async def test_older_code_removes_no_newer_item_that_it_cannot_read(
    storage: StorageProvider, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    await old.create_session("s", items=["a"])
    await new.append_items("s", ["b"], log="")
    await old.append_items("s", ["c"])
    assert [item.data for item in (await old.pop_items("s")).items] == ["c"]
    before = await window_of(storage, "s", Window())
    for count in (1, 2, 9):
        popped = await old.pop_items("s", count)
        refused(popped.error, 2, 1)
        assert popped.items == ()
    assert await window_of(storage, "s", Window()) == before
    assert len((await new.pop_items("s", 9)).items) == 2
    assert (await old.pop_items("s")).items == ()


async def test_a_session_that_is_set_or_created_anew_has_the_shape_of_its_own_state(
    storage: StorageProvider, clock: ManualClock, old: SessionManager[Chat], new: SessionManager[Person]
) -> None:
    await new.create_session("s")
    clock.advance(2 * TTL)
    await old.create_session("s")
    assert (await stored(storage))[0] == 1
    await storage.set_many([draft(state='{"n":1}', state_version=7)])
    assert await stored(storage) == (7, '{"n":1}')
    await storage.set_many([draft(state='{"n":2}')])
    assert await stored(storage) == (1, '{"n":2}')
    await storage.set_many([draft("t", state='{"n":2}', state_version=2), draft("u")])
    assert [(await stored(storage, name))[0] for name in "tu"] == [2, 1]


async def test_pages_and_batches_return_the_shape_version_of_each_session(
    storage: StorageProvider, managed: Managed
) -> None:
    await storage.create_many([draft(f"s{n}", state_version=n) for n in range(1, 5)])
    page = await storage.list("chat", states=True)
    assert list(page.state_versions) == [1, 2, 3, 4]
    documents = await storage.get_many([key(f"s{n}") for n in (4, 2, 9)], journal=True)
    assert [it and it.state_version for it in documents] == [4, 2, None]
    assert list((await storage.list("chat")).state_versions) == []
