"""Clocks that a service gives: each returns aware datetimes, or is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sessionstore import ConfigurationError, open_storage
from tests.support.documents import draft, key

_NO_TIMES: list[Any] = [datetime(2030, 1, 1), "2030-01-01", 5.0, None, date(2030, 1, 1)]  # noqa: DTZ001


@pytest.mark.parametrize("given", _NO_TIMES, ids=repr)
async def test_a_clock_that_returns_no_aware_datetime_is_refused_and_nothing_is_written(
    storage_url: str, given: Any
) -> None:
    now: list[Any] = [given]
    async with open_storage(storage_url, clock=lambda: now[0]) as storage:
        for call in (storage.create(draft()), storage.get(key()), storage.delete(key()), storage.exists(key())):
            with pytest.raises(ConfigurationError, match="clock must return an aware datetime"):
                await call
        now[0] = datetime.now(UTC)
        assert not await storage.exists(key())
        assert (await storage.create(draft())).created


@pytest.mark.parametrize("given", [5, "now", datetime(2030, 1, 1, tzinfo=UTC)], ids=repr)
def test_a_clock_that_is_no_function_is_refused(storage_url: str, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="clock must be a function"):
        open_storage(storage_url, clock=given)


async def test_the_zone_of_a_clock_does_not_matter(storage_url: str) -> None:
    now = datetime(2030, 1, 1, 12, tzinfo=ZoneInfo("Asia/Kathmandu"))
    async with open_storage(storage_url, clock=lambda: now) as storage:
        created = (await storage.create(draft(ttl=timedelta(hours=1)))).document
        assert created.summary.created_at == now
        assert await storage.exists(key())
