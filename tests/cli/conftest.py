"""Commands, as users type them, against databases that outlive a command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from typer.testing import CliRunner, Result

from sessionstore import StorageProvider, open_storage
from sessionstore.cli import app
from sessionstore.storage import Clock, Draft
from sessionstore.testing.clock import ManualClock

R = TypeVar("R")

YESTERDAY = timedelta(days=1)


class Run(Protocol):
    """Runs a command against the test's database."""

    def __call__(self, *arguments: str) -> Result: ...


class Store:
    """The test's database, for preparing it and for looking into it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, question: Callable[[StorageProvider], Awaitable[R]], clock: Clock | None = None) -> R:
        async def asked() -> R:
            async with open_storage(self.url, clock=clock) as storage:
                return await question(storage)

        return asyncio.run(asked())

    def put(self, *drafts: Draft) -> None:
        self.ask(lambda storage: storage.create_many(drafts))

    def put_expired(self, *drafts: Draft, ago: timedelta = YESTERDAY) -> None:
        """They were created so long ago, and live a minute at most."""
        clock = ManualClock(datetime.now(UTC) - ago)
        self.ask(lambda storage: storage.create_many(drafts), clock)


@pytest.fixture(autouse=True)
def nothing_of_ours_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SESSIONSTORE_", "SESSION_TTL"))]:
        if name != "SESSIONSTORE_TEST_DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def provider_kind(request: pytest.FixtureRequest) -> str:
    """memory:// would be another one for each command."""
    return str(request.param)


@pytest.fixture
def store(storage_url: str) -> Store:
    return Store(storage_url)


@pytest.fixture
def run(store: Store) -> Run:
    return lambda *arguments: call(*arguments, "--database-url", store.url)


def call(*arguments: str) -> Result:
    """Runs a command in this process."""
    return CliRunner().invoke(app, arguments)


def told(outcome: Result) -> str:
    """What an unsuccessful command says, after making sure that it says it in one line and on stderr."""
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")
