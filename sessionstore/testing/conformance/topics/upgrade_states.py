"""The rewriting of older states and items in their current shape, beside callers that use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    CorruptStateError,
    SessionManager,
    StorageProvider,
    UpdateOutcomeUnknownError,
    UpgradeReport,
)
from sessionstore.storage import Append, Key, NewItem, Summary, Window, Write
from sessionstore.storage.reshaping import OutdatedItem, Reshaping, Rewrite

from ...clock import ManualClock
from ...support.documents import TTL, Chat, draft, key
from ...support.logs import window_of
from ..given import Managed


def wrap(document: Any) -> Any:
    return {"was": document}


@pytest.fixture
def chats(managed: Managed) -> SessionManager[Chat]:
    return managed(state_version=2, upgrades={1: wrap}, item_version=2, item_upgrades={1: wrap})


@pytest.fixture
def reshaping(storage: StorageProvider) -> Reshaping:
    found: object = storage
    assert isinstance(found, Reshaping)
    return found


async def summaries(storage: StorageProvider) -> Sequence[Summary]:
    return (await storage.list("chat")).sessions


async def test_all_older_states_and_items_are_rewritten_and_nothing_else(
    storage: StorageProvider, clock: ManualClock, chats: SessionManager[Chat]
) -> None:
    await storage.create_many([draft(f"s{n}", f'{{"n":{n}}}', owner_id="u1") for n in range(5)])
    await storage.create_many([draft("new", '{"was":1}', state_version=2), draft("s0", namespace="other")])
    await storage.append_many([Append(key("s1"), [NewItem("1", "id"), NewItem("2", log="x")])])
    await storage.append_many([Append(key("s2"), [NewItem("3"), NewItem('{"was":4}', version=2)])])
    before = await summaries(storage)
    items = (await window_of(storage, "s1", Window())).items
    clock.advance(TTL / 2)
    reports: list[UpgradeReport] = []
    report = await chats.upgrade_states(batch_size=2, on_batch=reports.append)
    assert report == UpgradeReport(states=5, items=3, complete=True)
    assert [(it.states, it.items) for it in reports] == [(2, 0), (4, 0), (5, 0), (5, 2), (5, 3)]
    for old, now in zip(before, await summaries(storage), strict=True):
        raised = now.version - old.version
        assert raised == (0 if old.key.session_id == "new" else 1)
        assert now._replace(version=old.version, last_write=old.last_write) == old
    documents = await storage.get_many([key(f"s{n}") for n in range(5)], touch=False)
    assert [it and (it.state_version, it.state.replace(" ", "")) for it in documents] == [
        (2, f'{{"was":{{"n":{n}}}}}') for n in range(5)
    ]
    rewritten = (await window_of(storage, "s1", Window())).items
    assert list(rewritten) == [it._replace(text='{"was":1}', version=2) for it in items]
    assert [it.text for it in (await window_of(storage, "s2", Window())).items] == ['{"was":3}', '{"was":4}']
    assert (await chats.find_item("id")).items[0].data == {"was": 1}
    other = await storage.get(key("s0", "other"), touch=False)
    assert other is not None
    assert other.state_version == 1
    assert await chats.upgrade_states() == UpgradeReport(complete=True)


async def test_expired_sessions_are_not_upgraded(
    storage: StorageProvider, clock: ManualClock, chats: SessionManager[Chat]
) -> None:
    await storage.create(draft())
    await storage.append(Append(key(), [NewItem("1")]))
    clock.advance(2 * TTL)
    assert await chats.upgrade_states() == UpgradeReport(complete=True)


async def test_a_run_that_was_stopped_goes_on(storage: StorageProvider, chats: SessionManager[Chat]) -> None:
    await storage.create_many([draft(f"s{n}") for n in range(5)])
    first = await chats.upgrade_states(batch_size=2, time_budget=timedelta(microseconds=1))
    assert first == UpgradeReport(states=2)

    def stop(report: UpgradeReport) -> None:
        raise KeyError(report.states)

    with pytest.raises(KeyError, match="2"):
        await chats.upgrade_states(batch_size=2, on_batch=stop)
    assert await chats.upgrade_states(batch_size=2) == UpgradeReport(states=1, complete=True)


async def test_a_state_that_does_not_fit_is_reported_and_stays(storage: StorageProvider, managed: Managed) -> None:
    def check(document: Any) -> Any:
        return {"was": document["n"]}

    chats = managed(state_version=2, upgrades={1: check}, item_version=2, item_upgrades={1: check})
    states = ['{"n":1}', '{"secret":1}', '{"n":2}']
    await storage.create_many([draft(f"s{n}", state) for n, state in enumerate(states)])
    await storage.create(draft("newer", '{"n":1}', state_version=3))
    await storage.append(Append(key("s0"), [NewItem('{"n":1}'), NewItem('{"secret":1}'), NewItem("1", version=3)]))
    report = await chats.upgrade_states(batch_size=1)
    assert (report.states, report.items, report.misfits, report.held, report.complete) == (2, 1, 4, 0, True)
    assert sorted(str(error) for error in report.errors) == sorted(
        str(result.error)
        for result in (
            await chats.get_session("s1"),
            await chats.get_session("newer"),
            await chats.get_items("s0", after=1, limit=1),
            await chats.get_items("s0", after=2, limit=1),
        )
    )
    assert all(isinstance(error, CorruptStateError) for error in report.errors)
    document = await storage.get(key("s1"), touch=False)
    assert document is not None
    assert (document.state_version, document.state.replace(" ", "")) == (1, '{"secret":1}')


async def test_a_write_in_between_wins_and_its_state_is_upgraded(
    storage: StorageProvider, managed: Managed, chats: SessionManager[Chat]
) -> None:
    """Old code writes between each read of the upgrade and its write."""
    old = managed()
    await old.create_session("s")
    asked: list[int] = []

    async def interfered(writes: Sequence[Write]) -> Sequence[bool]:
        if len(asked) < 3:
            asked.append(len(writes))
            assert (await old.update_session("s", lambda state: {**state, "n": state["n"] + 1})).success
        return await rewrite(writes)

    reshaping: Any = storage
    rewrite: Callable[[Sequence[Write]], Awaitable[Sequence[bool]]] = reshaping.rewrite_many
    reshaping.rewrite_many = interfered
    try:
        report = await chats.upgrade_states()
    finally:
        del reshaping.rewrite_many
    assert (report.states, report.held, len(asked)) == (1, 0, 3)
    assert (await chats.get_session("s")).unwrap()["was"]["n"] == 3


async def test_a_rewrite_whose_answer_was_lost_is_looked_up(
    storage: StorageProvider, chats: SessionManager[Chat]
) -> None:
    await storage.create_many([draft("s"), draft("t")])
    await storage.append(Append(key(), [NewItem("1")]))
    reshaping: Any = storage
    states, items = reshaping.rewrite_many, reshaping.rewrite_items
    lost: list[str] = []

    async def rewrite_many(writes: Sequence[Write]) -> Sequence[bool]:
        done: Sequence[bool] = await states(writes)
        if not lost:
            lost.append("state")
            raise UpdateOutcomeUnknownError("the answer was lost")
        return done

    async def rewrite_items(rewrites: Sequence[Rewrite]) -> Sequence[bool]:
        done: Sequence[bool] = await items(rewrites)
        if len(lost) < 2:
            lost.append("item")
            raise UpdateOutcomeUnknownError("the answer was lost")
        return done

    reshaping.rewrite_many, reshaping.rewrite_items = rewrite_many, rewrite_items
    try:
        report = await chats.upgrade_states()
    finally:
        del reshaping.rewrite_many, reshaping.rewrite_items
    assert lost == ["state", "item"]
    assert (report.states, report.misfits, report.held, report.complete) == (2, 0, 0, True)
    assert (await chats.get_session("s", last_items=1)).items[0].data == {"was": 1}
    assert [(await chats.get_session(name)).unwrap() for name in "st"] == [{"was": {}}] * 2


async def test_an_item_that_was_replaced_or_removed_in_between_stays_as_it_is(
    storage: StorageProvider, reshaping: Reshaping, managed: Managed
) -> None:
    old = managed()
    await old.create_session("s", items=["a", "b", "c"])
    found = await reshaping.outdated_items("chat", 2, limit=9)
    assert [it.item.position for it in found] == [1, 2, 3]
    await old.replace_item("s", 1, "other")
    await old.pop_items("s")
    done = await reshaping.rewrite_items([Rewrite(it, '"new"', 2) for it in found])
    assert list(done) == [False, True, False]
    assert [(it.text, it.version) for it in (await window_of(storage, "s", Window())).items] == [
        ('"other"', 1),
        ('"new"', 2),
    ]
    assert list(await reshaping.rewrite_items([Rewrite(found[1], '"again"', 2)])) == [False]


async def test_pages_of_items_pass_over_none(storage: StorageProvider, reshaping: Reshaping) -> None:
    names = ["a", "a:", "b", "\u00e4"]
    await storage.create_many([draft(name) for name in names])
    for name in names:
        for log in ("", "x", "\u00e4"):
            await storage.append(Append(key(name), [NewItem('"\\u0000"', log=log)] * 2))
    every: list[OutdatedItem] = []
    last: OutdatedItem | None = None
    while page := await reshaping.outdated_items("chat", 2, limit=3, after=last):
        every += page
        last = page[-1]
    assert len(every) == len(set(every)) == 24
    assert every == sorted(every, key=lambda it: (it.key, it.log, it.item.position))
    assert all(await reshaping.rewrite_items([Rewrite(it, '"\\u0000new"', 2) for it in every]))
    assert await reshaping.outdated_items("chat", 2, limit=1) == []


async def test_several_runs_and_updates_at_once_lose_nothing(
    storage: StorageProvider, managed: Managed, chats: SessionManager[Chat]
) -> None:
    old = managed()
    names = [f"s{n}" for n in range(6)]
    for name in names:
        await old.create_session(name)

    async def count(name: str) -> None:
        for _ in range(5):
            updated = await chats.update_session(
                name, lambda state: {**state, "was": {**state["was"], "n": state["was"]["n"] + 1}}
            )
            assert updated.success, updated.error

    await asyncio.gather(*map(count, names), *(chats.upgrade_states(batch_size=2) for _ in range(3)))
    for name in names:
        assert (await chats.get_session(name)).unwrap()["was"]["n"] == 5
    assert (await chats.upgrade_states()).states == 0


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": "1"}, {"time_budget": 5}])
async def test_wrong_arguments_are_refused(chats: SessionManager[Chat], wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await chats.upgrade_states(**wrong)


async def test_outdated_states_are_listed_after_a_key(storage: StorageProvider, reshaping: Reshaping) -> None:
    await storage.create_many([draft(f"s{n}", state_version=n % 2 + 1) for n in range(6)])
    page = await reshaping.outdated("chat", 2, limit=2)
    assert [it.summary.key.session_id for it in page] == ["s0", "s2"]
    rest = await reshaping.outdated("chat", 2, limit=9, after=Key("chat", "s2"))
    assert [(it.summary.key.session_id, it.state_version) for it in rest] == [("s4", 1)]
