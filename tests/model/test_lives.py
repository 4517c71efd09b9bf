from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from sessionstore import SqlStorageProvider, open_storage
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.postgres import Database
from sessionstore.testing.sqlite import copied_file, sqlite_url
from tests.support.scale import scaled

from .item_lives import ItemLives
from .lives import Lives
from .lost_answers import LostAnswers


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "postgresql-asyncpg"])
@pytest.mark.parametrize("lives", [Lives, ItemLives], ids=["sessions", "items"])
def test_sessions_live_and_end_on_every_provider_as_in_memory(
    kind: str,
    lives: type[Lives],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if kind == "sqlite":
        url = sqlite_url(copied_file(request.getfixturevalue("sqlite_template"), tmp_path / "lives.db"))
    else:
        database: Database = request.getfixturevalue("database")
        database.empty()
        url = database.url if kind == "postgresql" else database.asyncpg_url
    clock = ManualClock()

    class OnSql(lives):  # type: ignore[misc,valid-type]
        def __init__(self) -> None:
            super().__init__(*more, storage, clock, runner)

    program = settings(
        deadline=None,
        report_multiple_bugs=False,
        max_examples=scaled(12),
        stateful_step_count=40,
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        storage = open_storage(url, clock=clock)
        assert isinstance(storage, SqlStorageProvider)
        more: tuple[Any, ...] = ()
        if lives is ItemLives:
            more = (LostAnswers(storage, monkeypatch) if kind != "sqlite" else None,)
        try:
            run_state_machine_as_test(OnSql, settings=program)
        finally:
            runner.run(storage.close())
