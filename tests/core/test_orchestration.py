from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sessionstore import InvalidSessionIdError, InvalidStateError, OrchestrationStateManager, StorageProvider

Call = Callable[[OrchestrationStateManager], Awaitable[object]]

REFUSED: dict[str, tuple[Call, str]] = {
    "unknown field": (lambda desk: desk.update_state("s", nonsense="s3cret"), "$.nonsense"),
    "field that is set by accesses": (lambda desk: desk.update_state("s", last_accessed="s3cret"), "$.last_accessed"),
    "value of another type": (lambda desk: desk.update_state("s", sequence_index="s3cret"), "$.sequence_index"),
    "one tool of another type": (
        lambda desk: desk.update_state("s", recently_used_tools=["a", b"s3cret\xff"]),
        "$.recently_used_tools[1]",
    ),
    "negative total": (
        lambda desk: desk.update_state("s", cumulative_token_usage={"total_tokens": -1}),
        "$.cumulative_token_usage.total_tokens",
    ),
    "step with NUL": (lambda desk: desk.set_active_step("s", "s3cret\0"), "$.active_step"),
    "tool with NUL": (lambda desk: desk.add_used_tool("s", "s3cret\0"), "$.recently_used_tools[0]"),
    "negative prompt": (
        lambda desk: desk.add_token_usage("s", prompt_tokens=-1, completion_tokens=5),
        "$.cumulative_token_usage.prompt_tokens",
    ),
    "negative completion": (
        lambda desk: desk.add_token_usage("s", prompt_tokens=5, completion_tokens=-1),
        "$.cumulative_token_usage.completion_tokens",
    ),
    "tool twice": (
        lambda desk: desk.update_state("s", recently_used_tools=["x", "y", "x"]),
        "$.recently_used_tools[2]",
    ),
}


@pytest.mark.parametrize(("call", "path"), list(REFUSED.values()), ids=list(REFUSED))
async def test_an_invalid_change_is_raised_with_its_path_and_changes_nothing(
    storage: StorageProvider, call: Call, path: str
) -> None:
    desk = OrchestrationStateManager(storage)
    before = await desk.get_or_create_state("s")
    with pytest.raises(InvalidStateError) as raised:
        await call(desk)
    assert raised.value.path == path
    assert "'s'" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert await desk.get_state("s") == before


@pytest.mark.parametrize("bad", ["", "a\0", 5], ids=ascii)
async def test_an_invalid_id_is_raised_and_not_taken_for_an_absent_session(bad: Any) -> None:
    desk = OrchestrationStateManager()
    calls = [desk.get_state, desk.get_or_create_state, desk.advance_sequence, desk.reset_state, desk.cleanup_session]
    for call in calls:
        with pytest.raises(InvalidSessionIdError):
            await call(bad)


async def test_orchestration_states_of_different_namespaces_are_separate(storage: StorageProvider) -> None:
    one, other = OrchestrationStateManager(storage), OrchestrationStateManager(storage, "other")
    await one.get_or_create_state("s")
    assert await other.get_state("s") is None
