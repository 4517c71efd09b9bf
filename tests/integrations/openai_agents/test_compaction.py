"""The hooks by which the SDK compacts a history: the end of it is replaced if it is still as it was read."""

from __future__ import annotations

from typing import Any

import pytest
from agents.items import TResponseInputItem

from sessionstore import SessionManager, StorageProvider
from sessionstore.integrations.openai_agents import StoredSession

from .conftest import Chat, contents, said


def manager(storage: StorageProvider) -> SessionManager[Any]:
    return SessionManager(lambda _: {}, storage, "openai-agents")


async def snapshot(session: StoredSession, limit: int, **options: Any) -> Any:
    taken = await session._get_compaction_snapshot(limit, **options)
    assert taken is not None
    return taken


async def test_the_end_of_a_history_is_replaced(chat: Chat) -> None:
    await chat().add_items(said(*"abcde"))
    taken = await snapshot(chat(), 3)
    assert (contents(taken.items), taken.complete) == ([*"cde"], False)
    assert await taken.replace_suffix(1, said("DE"))
    assert contents(await chat().get_items()) == ["a", "b", "c", "DE"]
    whole = await snapshot(chat(), 4)
    assert (contents(whole.items), whole.complete) == (["a", "b", "c", "DE"], True)
    assert await whole.replace_suffix(0, [])
    assert await chat().get_items() == []


async def test_nothing_is_replaced_where_there_is_nothing(chat: Chat) -> None:
    taken = await snapshot(chat(), 3)
    assert (taken.items, taken.complete) == ([], True)
    assert not await taken.replace_suffix(0, said("a"))
    assert await chat().get_items() == []


@pytest.mark.parametrize("change", ["add", "pop", "swap", "clear", "anew", "redact", "compact"])
async def test_a_history_that_has_changed_is_left_alone(chat: Chat, storage: StorageProvider, change: str) -> None:
    await chat().add_items(said("a", "b", "c"))
    taken = await snapshot(chat(), 2)
    match change:
        case "add":
            await chat().add_items(said("d"))
        case "pop":
            await chat().pop_item()
        case "swap":
            popped = await chat().pop_item()
            assert popped is not None
            await chat().add_items([popped])
        case "clear":
            await chat().clear_session()
        case "anew":
            await chat().clear_session()
            await chat().add_items(said("a", "b", "c"))
        case "redact":
            assert (await manager(storage).replace_item("chat", 3, {"content": "[redacted]"})).success
        case _:
            assert await (await snapshot(chat(), 2)).replace_suffix(0, said("b", "c"))
    before = await chat().get_items()
    assert not await taken.replace_suffix(0, said("summary"))
    assert await chat().get_items() == before


def is_old(item: TResponseInputItem) -> bool:
    return str(item.get("content")).startswith("old")


@pytest.mark.parametrize("kept", [[], ["x"], ["x", "old", "y"]], ids=len)
@pytest.mark.parametrize("output", [[], ["summary"], ["s1", "s2", "s3"]], ids=len)
async def test_old_items_at_the_beginning_go_with_the_replacement(
    chat: Chat, kept: list[str], output: list[str]
) -> None:
    await chat().add_items(said(*["old"] * 7, *kept, "a", "b"))
    taken = await snapshot(chat(), 2, prune_prefix=is_old)
    assert await taken.replace_suffix(0, said(*output))
    assert contents(await chat().get_items()) == [*kept, *output]
    await chat().add_items(said("next"))
    assert contents(await chat().get_items(1)) == ["next"]


async def test_old_items_stay_where_the_history_has_changed(chat: Chat) -> None:
    await chat().add_items(said("old", "a"))
    taken = await snapshot(chat(), 1, prune_prefix=is_old)
    await chat().add_items(said("b"))
    assert not await taken.replace_suffix(0, said("summary"))
    assert contents(await chat().get_items()) == ["old", "a", "b"]


async def test_many_old_items_are_found(chat: Chat) -> None:
    await chat().add_items(said(*["old"] * 1200, "x", "a"))
    taken = await snapshot(chat(), 1, prune_prefix=is_old)
    assert await taken.replace_suffix(0, said("summary"))
    assert contents(await chat().get_items()) == ["x", "summary"]


async def test_a_whole_history_is_replaced_at_once(chat: Chat) -> None:
    assert not await chat()._atomic_replace_items(said("a"))
    await chat().add_items(said("a", "b"))
    assert await chat()._atomic_replace_items(said("summary"))
    assert contents(await chat().get_items()) == ["summary"]


async def test_the_conversation_of_another_owner_is_not_compacted(chat: Chat) -> None:
    await chat(owner_id="ann").add_items(said("a"))
    taken = await snapshot(chat(owner_id="ann"), 1)
    assert (await snapshot(chat(owner_id="bob"), 1)).items == []
    assert not await chat(owner_id="bob")._atomic_replace_items(said("b"))
    assert await taken.replace_suffix(0, said("summary"))
    assert contents(await chat(owner_id="ann").get_items()) == ["summary"]


async def test_a_subclass_that_stores_items_its_own_way_is_compacted_as_any_other_session(
    storage: StorageProvider,
) -> None:
    class Masked(StoredSession):
        async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
            return [*said("masked"), *await super().get_items(limit)]

    class Named(StoredSession):
        def __init__(self) -> None:
            super().__init__("named", storage)

    await Masked("chat", storage).add_items(said("a"))
    assert await Masked("chat", storage)._get_compaction_snapshot(1) is None
    assert not await Masked("chat", storage)._atomic_replace_items([])
    assert await Named()._get_compaction_snapshot(1) is not None
