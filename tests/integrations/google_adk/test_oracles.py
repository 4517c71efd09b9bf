"""ADK's own services are the oracles: random programs give the same answers on them and on this service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from google.adk.sessions import InMemorySessionService
from google.adk.sessions.database_session_service import DatabaseSessionService
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import open_storage
from sessionstore.integrations.google_adk import StoredSessionService
from sessionstore.testing.support.scale import scaled

from .programs import Programs


def test_programs_give_the_answers_of_adks_own_services(
    provider_kind: str, url_of_kind: Callable[[str], str], tmp_path: Path
) -> None:
    with asyncio.Runner() as runner:
        storage = open_storage(url_of_kind(provider_kind))
        database = DatabaseSessionService(f"sqlite+aiosqlite:///{tmp_path / 'adk.db'}")
        services = StoredSessionService(storage), InMemorySessionService(), database

        class Machine(Programs):
            def __init__(self) -> None:
                super().__init__(*services, runner)

        program = settings(
            deadline=None,
            max_examples=scaled(8),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        try:
            run_state_machine_as_test(Machine, settings=program)
        finally:
            runner.run(database.close())
            runner.run(storage.close())
