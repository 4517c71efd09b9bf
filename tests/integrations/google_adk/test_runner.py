"""ADK's Runner with an agent, a tool and a scripted model."""

from __future__ import annotations

from google.adk.sessions import InMemorySessionService

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from tests.support.processes import python

from .chatting import turn
from .events import APP, USER, loaded


async def test_an_agent_says_and_stores_the_same_as_with_adks_own_service(service: StoredSessionService) -> None:
    memory = InMemorySessionService()
    for text in ("one", "two"):
        assert await turn(service, text) == await turn(memory, text)
    mine = await loaded(service)
    theirs = await memory.get_session(app_name=APP, user_id=USER, session_id="s")
    assert theirs is not None
    assert mine.state == theirs.state
    assert mine.state["app:notes"] == mine.state["user:notes"] == mine.state["notes"] == ["one", "two"]
    kept = {"id", "timestamp", "invocation_id"}
    assert [_seen(it.model_dump(exclude=kept)) for it in mine.events] == [
        _seen(it.model_dump(exclude=kept)) for it in theirs.events
    ]


async def test_a_conversation_goes_on_in_another_process(shared_url: str) -> None:
    module = "tests.integrations.google_adk.chatting"
    first = await python("-m", module, shared_url, "one")
    assert first.status == 0, first.output
    async with open_storage(shared_url) as storage:
        service = StoredSessionService(storage)
        assert await turn(service, "two") == "seen: one, seen: one, two"
        assert (await loaded(service)).state["notes"] == ["one", "two"]


def _seen(value: object) -> object:
    """What a caller sees, without the ids of function calls, which ADK makes anew in each run."""
    if isinstance(value, dict):
        return {key: _seen(member) for key, member in value.items() if key != "id"}
    return [*map(_seen, value)] if isinstance(value, list) else value
