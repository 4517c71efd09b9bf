from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from sessionstore import MemoryStorageProvider, Reaper, SessionManager, StorageUnavailableError
from sessionstore.storage import Purge
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL, put

from ..support.contended import ContendedStorage

SECRET = "s3cret"
SESSION_ID = "0123456789-a-long-session-id"
STANDARD = vars(logging.makeLogRecord({})).keys() | {"message", "asctime"}


class Outage(MemoryStorageProvider):
    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        raise StorageUnavailableError(f"the password is {SECRET}")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "sessionstore")
    return caplog


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """The extra fields of a record. Also checks the promises that hold for every record."""
    assert record.name.startswith("sessionstore.")
    assert not record.args
    assert record.getMessage() == record.getMessage().lower()
    assert record.exc_info is None
    everything = repr(vars(record))
    assert SECRET not in everything
    assert SESSION_ID not in everything
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


async def test_an_update_that_loses_a_round_logs_the_session_and_not_its_state(
    logged: pytest.LogCaptureFixture,
) -> None:
    chats = SessionManager(lambda _: {"n": 0, "said": SECRET}, ContendedStorage(2))
    await chats.create_session(SESSION_ID)
    (await chats.update_session(SESSION_ID, lambda state: state.update(more=SECRET))).unwrap()
    assert [(record.name, record.levelname, record.getMessage(), facts(record)) for record in logged.records] == [
        ("sessionstore.updates.rounds", "DEBUG", "update lost a round", {"session_id": "01234567...", "lost": lost})
        for lost in (1, 2)
    ]


@pytest.mark.parametrize(
    ("dry_run", "counts"),
    [(False, {"deleted": 3, "batches": 2, "remaining": 0}), (True, {"deleted": 0, "batches": 0, "remaining": 3})],
)
async def test_a_run_of_the_reaper_logs_its_report(
    logged: pytest.LogCaptureFixture, clock: ManualClock, dry_run: bool, counts: dict[str, int]
) -> None:
    storage = MemoryStorageProvider(clock=clock)
    await put(storage, SESSION_ID, "b", "c", state=f'{{"said":"{SECRET}"}}')
    clock.advance(TTL * 2)
    await Reaper(storage, batch_size=2).run_once(dry_run=dry_run)
    (record,) = logged.records
    assert (record.name, record.levelname) == ("sessionstore.reaper", "INFO")
    assert facts(record) == counts | {"dry_run": dry_run}


async def test_an_outage_of_the_storage_makes_the_reaper_log_a_warning_with_the_class_of_the_error(
    logged: pytest.LogCaptureFixture,
) -> None:
    async with Reaper(Outage()).every(timedelta(hours=1)), asyncio.timeout(10):
        while not logged.records:  # noqa: ASYNC110  # a log gives no event to wait for
            await asyncio.sleep(0)
    (record,) = logged.records
    assert (record.name, record.levelname) == ("sessionstore.reaper", "WARNING")
    assert facts(record) == {"error": "StorageUnavailableError"}


async def test_calls_that_succeed_are_not_logged(logged: pytest.LogCaptureFixture) -> None:
    chats = SessionManager(lambda _: {"n": 0})
    await chats.create_session("s")
    await chats.update_session("s", lambda state: state.update(n=1))
    await chats.get_session("s")
    await chats.get_session("nobody")
    await chats.delete_session("s")
    assert logged.records == []
