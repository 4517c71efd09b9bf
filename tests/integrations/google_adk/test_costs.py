"""What calls cost: the same statements for ever, however long a session and however many sessions."""

from __future__ import annotations

import asyncio

from google.adk.sessions.base_session_service import GetSessionConfig

from sessionstore import Batching, open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from sessionstore.testing.postgres import Database
from tests.support.wire import WireCounter

from .events import APP, USER, created, event, loaded

HOUR = Batching(remember=3600)
"""However slow the machine, an update begins with the state that was read or written before."""

RECENT = GetSessionConfig(num_recent_events=5)


async def test_a_turn_takes_the_same_statements_at_any_length_of_a_session(database: Database) -> None:
    database.empty()
    async with WireCounter(database.url) as wire, open_storage(wire.url, batching=HOUR) as storage:
        service = StoredSessionService(storage)
        session = await created(service)
        await service.append_event(session, event())
        costs = []
        for _ in range(2):
            with wire.counting() as seen:
                part = await service.get_session(app_name=APP, user_id=USER, session_id="s", config=RECENT)
                assert part is not None
                await service.append_event(part, event("a question"))
                await service.append_event(part, event("an answer", n=1))
            costs.append(len(seen.statements))
            for number in range(300):
                await service.append_event(part, event(str(number)))
        assert costs == [3, 3]

        whole = await loaded(service)
        assert len(whole.events) == 605
        with wire.counting() as seen:
            await service.append_event(whole, event("of an object that has all events"))
        assert len(seen.statements) == 1


async def test_a_thousand_sessions_are_listed_in_a_few_statements(database: Database) -> None:
    database.empty()
    async with WireCounter(database.url) as wire, open_storage(wire.url) as storage:
        service = StoredSessionService(storage)
        await asyncio.gather(*(created(service, f"s{number}", n=number) for number in range(1_000)))
        with wire.counting() as seen:
            listed = await service.list_sessions(app_name=APP, user_id=USER)
        assert {it.id: it.state["n"] for it in listed.sessions} == {f"s{number}": number for number in range(1_000)}
        assert len(seen.statements) <= 5
        with wire.counting() as seen:
            assert len((await service.list_sessions(app_name=APP)).sessions) == 1_000
        assert len(seen.statements) <= 5
