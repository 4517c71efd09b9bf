"""Agents in several processes: resumed in another one, at once, and killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from pydantic_ai.conversation import Conversation

from sessionstore import SessionManager, open_storage
from sessionstore.integrations.pydantic_ai import StoredConversationStore

from .talk import ID, asked
from .worker import done, working


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, url_of_kind: Callable[[str], str]) -> str:
    return url_of_kind(str(request.param))


async def load(url: str) -> Conversation:
    async with open_storage(url) as storage:
        talk = await StoredConversationStore(storage).load(ID)
    assert talk is not None
    return talk


async def stored_items(url: str) -> int:
    """How many items the sessions have, whether a record leads to them or not."""
    async with open_storage(url) as storage:
        page = await SessionManager[dict[str, str]](lambda _: {}, storage, "pydantic-ai").list_sessions()
    return sum(session.item_count for session in page.sessions)


async def test_an_agent_goes_on_in_another_process(shared_url: str) -> None:
    assert done(shared_url, "run", "hello") == ["read 1 messages, paid nothing"]
    assert done(shared_url, "run", "pay") == ["waits"]
    assert done(shared_url, "approve") == ["read 5 messages, paid 7 EUR"]
    talk = await load(shared_url)
    assert asked(talk.messages) == ["hello", "pay"]
    assert (talk.usage.requests, talk.usage.tool_calls) == (3, 1)
    assert talk.deferred_tool_requests is None


@pytest.mark.parametrize("then", ["killed before the save", "killed after the save"])
async def test_a_killed_process_leaves_a_turn_whole_or_not_at_all(shared_url: str, then: str) -> None:
    done(shared_url, "run", "first")
    done(shared_url, "run", "second", then, status=-signal.SIGKILL)
    landed = then == "killed after the save"
    assert done(shared_url, "run", "third") == [f"read {5 if landed else 3} messages, paid nothing"]
    assert await stored_items(shared_url) == (6 if landed else 4)


async def test_one_of_two_concurrent_agents_gets_the_conflict(shared_url: str) -> None:
    done(shared_url, "run", "hello")
    with ExitStack() as stack:
        rivals = [stack.enter_context(working(shared_url, "rival", name)) for name in ("one", "two")]
        assert [rival.pipe.recv() for rival in rivals] == ["loaded", "loaded"]
        for rival in rivals:
            rival.pipe.send("go")
        outcomes = [rival.told() for rival in rivals]
    assert sorted(outcomes) == [["conflict"], ["saved"]]
    winner = ["one", "two"][outcomes.index(["saved"])]
    talk = await load(shared_url)
    assert asked(talk.messages) == ["hello", f"I am {winner}"]
    assert await stored_items(shared_url) == len(talk.messages) == 4


async def test_processes_that_load_again_after_a_conflict_lose_nothing(shared_url: str) -> None:
    names, times = ["a", "b", "c"], 8
    with ExitStack() as stack:
        counters = [stack.enter_context(working(shared_url, "count", name, str(times))) for name in names]
        outcomes = [counter.told() for counter in counters]
    said = asked((await load(shared_url)).messages)
    for name in names:
        assert [text for text in said if text.startswith(name)] == [f"{name}-{number}" for number in range(times)]
    assert await stored_items(shared_url) == len(said) == len(names) * times
    assert sum(int(told[-1].split()[0]) for told in outcomes) > 0


async def test_killed_processes_lose_no_turn_that_they_had_acknowledged(shared_url: str) -> None:
    for number in range(3):
        with working(shared_url, "count", f"n{number}", "100000") as counter:
            told = [counter.pipe.recv() for _ in range(10)]
            counter.process.kill()
            told += counter.told()
        talk = await load(shared_url)
        said = [text for text in asked(talk.messages) if text.startswith(f"n{number}")]
        # The last one may have landed before it was told of.
        assert said[: len(told)] == told
        assert len(said) <= len(told) + 1
        assert await stored_items(shared_url) == len(talk.messages)
