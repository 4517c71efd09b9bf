"""OrchestrationStateManager: a client of the manager, such as a service would write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import InvalidStateError, OrchestrationState, OrchestrationStateManager, StorageProvider

from ...clock import ManualClock
from ..given import OpenAnother

Call = Callable[[OrchestrationStateManager], Awaitable[object]]


@pytest.fixture
def desk(storage: StorageProvider) -> OrchestrationStateManager:
    return OrchestrationStateManager(storage)


CALLS: dict[str, Call] = {
    "get_state": lambda desk: desk.get_state("s"),
    "update_state": lambda desk: desk.update_state("s", sequence_index=1),
    "set_active_step": lambda desk: desk.set_active_step("s", "greet"),
    "add_used_tool": lambda desk: desk.add_used_tool("s", "search"),
    "advance_sequence": lambda desk: desk.advance_sequence("s"),
    "add_token_usage": lambda desk: desk.add_token_usage("s", prompt_tokens=1, completion_tokens=1),
    "reset_state": lambda desk: desk.reset_state("s"),
    "cleanup_session": lambda desk: desk.cleanup_session("s"),
    "to_ai_orchestration_state": lambda desk: desk.to_ai_orchestration_state("s"),
}
each_call = pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))


@each_call
async def test_every_call_is_none_where_there_is_no_session(desk: OrchestrationStateManager, call: Call) -> None:
    assert await call(desk) is None
    assert await desk.get_state("s") is None


@each_call
async def test_every_call_is_none_where_the_session_expired(
    desk: OrchestrationStateManager, clock: ManualClock, call: Call
) -> None:
    await desk.get_or_create_state("s")
    clock.advance(timedelta(hours=27))
    assert await call(desk) is None


async def test_a_new_state_is_blank(desk: OrchestrationStateManager) -> None:
    state = await desk.get_or_create_state("s")
    assert isinstance(state, OrchestrationState)
    assert (state.session_id, state.active_step, state.recently_used_tools, state.sequence_index) == ("s", None, [], 0)
    usage = state.cumulative_token_usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, 0)
    assert state.last_accessed.utcoffset() == timedelta(0)


async def test_a_state_without_an_id_gets_one(desk: OrchestrationStateManager) -> None:
    first, second = await desk.get_or_create_state(), await desk.get_or_create_state()
    assert first.session_id != second.session_id
    assert await desk.get_state(first.session_id) is not None


async def test_a_state_that_exists_is_found(desk: OrchestrationStateManager) -> None:
    await desk.get_or_create_state("s")
    await desk.set_active_step("s", "greet")
    assert (await desk.get_or_create_state("s")).active_step == "greet"


async def test_changes_are_stored_and_other_fields_stay(desk: OrchestrationStateManager) -> None:
    await desk.get_or_create_state("s")
    await desk.add_used_tool("s", "search")
    await desk.advance_sequence("s")
    changed = await desk.update_state("s", active_step="pay", sequence_index=4)
    for state in (changed, await desk.get_state("s")):
        assert state is not None
        assert (state.active_step, state.sequence_index, state.recently_used_tools) == ("pay", 4, ["search"])
    left = await desk.set_active_step("s", None)
    assert left is not None
    assert left.active_step is None


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence_index": "many"},
        {"nonsense": 1},
        {"recently_used_tools": [f"tool {number}" for number in range(11)]},
        {"recently_used_tools": ["x", "y", "x"]},
    ],
    ids=str,
)
async def test_a_change_that_does_not_fit_is_refused(
    desk: OrchestrationStateManager, changes: dict[str, object]
) -> None:
    before = await desk.get_or_create_state("s")
    with pytest.raises(InvalidStateError) as raised:
        await desk.update_state("s", **changes)
    # pydantic's error quotes the value.
    assert raised.value.__context__ is None
    assert await desk.get_state("s") == before


@pytest.mark.parametrize("count", [-1, "5", 1.5, None, True], ids=repr)
async def test_an_invalid_count_of_tokens_is_refused(desk: OrchestrationStateManager, count: Any) -> None:
    before = await desk.get_or_create_state("s")
    for name in ("prompt_tokens", "completion_tokens"):
        with pytest.raises(InvalidStateError) as raised:
            await desk.add_token_usage("s", **{name: count})
        assert raised.value.path == f"$.cumulative_token_usage.{name}"
    assert await desk.get_state("s") == before


async def test_tools_are_newest_first_without_repeats_and_ten_at_most(desk: OrchestrationStateManager) -> None:
    await desk.get_or_create_state("s")
    for n in range(12):
        await desk.add_used_tool("s", f"tool{n}")
    state = await desk.add_used_tool("s", "tool5")
    assert state is not None
    assert state.recently_used_tools == [f"tool{n}" for n in (5, 11, 10, 9, 8, 7, 6, 4, 3, 2)]


async def test_concurrent_changes_lose_nothing(storage: StorageProvider, open_another: OpenAnother) -> None:
    desks = [OrchestrationStateManager(storage), OrchestrationStateManager(await open_another())]
    await desks[0].get_or_create_state("s")
    await asyncio.gather(
        *(desks[n % 2].add_token_usage("s", prompt_tokens=10, completion_tokens=n) for n in range(8)),
        *(desks[n % 2].advance_sequence("s") for n in range(5)),
        *(desks[n % 2].add_used_tool("s", f"tool{n}") for n in range(6)),
    )
    state = await desks[1].get_state("s")
    assert state is not None
    usage = state.cumulative_token_usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (80, 28, 108)
    assert state.sequence_index == 5
    assert sorted(state.recently_used_tools) == [f"tool{n}" for n in range(6)]


async def test_a_reset_state_is_blank_again(desk: OrchestrationStateManager) -> None:
    new = await desk.get_or_create_state("s")
    await desk.update_state("s", active_step="pay", sequence_index=4, recently_used_tools=["a"])
    await desk.add_token_usage("s", prompt_tokens=3)
    reset = await desk.reset_state("s")
    assert reset is not None
    assert reset.model_dump(exclude={"last_accessed"}) == new.model_dump(exclude={"last_accessed"})
    assert await desk.get_state("s") == reset


async def test_a_cleaned_up_session_is_gone(desk: OrchestrationStateManager) -> None:
    await desk.get_or_create_state("s")
    last = await desk.set_active_step("s", "bye")
    assert await desk.cleanup_session("s") == last
    assert await desk.get_state("s") is None


async def test_the_state_for_a_model_says_where_the_conversation_stands(desk: OrchestrationStateManager) -> None:
    await desk.get_or_create_state("s")
    await desk.update_state("s", active_step="pay", sequence_index=4, recently_used_tools=["a", "b"])
    seen = await desk.to_ai_orchestration_state("s")
    assert seen is not None
    assert (seen.active_step, seen.recently_used_tools, seen.sequence_index) == ("pay", ["a", "b"], 4)


async def test_every_change_keeps_the_state_for_another_day(
    desk: OrchestrationStateManager, clock: ManualClock
) -> None:
    await desk.get_or_create_state("s")
    for _ in range(3):
        clock.advance(timedelta(hours=24))
        state = await desk.advance_sequence("s")
        assert state is not None
        assert state.last_accessed == clock()
    clock.advance(timedelta(hours=24) * 1.1)
    assert await desk.get_state("s") is None
