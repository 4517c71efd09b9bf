"""Clocks of a service: each returns aware datetimes, or is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sessionstore import ConfigurationError, SessionManager

from ...capability import Capability, needs
from ...support.documents import draft, key
from ..given import MakeProvider

_NO_TIMES: list[Any] = [datetime(2030, 1, 1), "2030-01-01", 5.0, None, date(2030, 1, 1)]  # noqa: DTZ001


@pytest.mark.parametrize("given", _NO_TIMES, ids=repr)
async def test_a_clock_that_returns_no_aware_datetime_is_refused_and_nothing_is_written(
    make_provider: MakeProvider, given: Any
) -> None:
    now: list[Any] = [given]
    async with make_provider(lambda: now[0]) as storage:
        for call in (storage.create(draft()), storage.get(key()), storage.delete(key()), storage.exists(key())):
            with pytest.raises(ConfigurationError, match="clock must return an aware datetime"):
                await call
        now[0] = datetime.now(UTC)
        assert not await storage.exists(key())
        assert (await storage.create(draft())).created


@pytest.mark.parametrize("given", [5, "now", datetime(2030, 1, 1, tzinfo=UTC)], ids=repr)
def test_a_clock_that_is_no_function_is_refused(make_provider: MakeProvider, given: Any) -> None:
    with pytest.raises(ConfigurationError, match="clock must be a function"):
        make_provider(given)


async def test_the_zone_of_a_clock_does_not_matter(make_provider: MakeProvider) -> None:
    now = datetime(2030, 1, 1, 12, tzinfo=ZoneInfo("Asia/Kathmandu"))
    async with make_provider(lambda: now) as storage:
        created = (await storage.create(draft(ttl=timedelta(hours=1)))).document
        assert created.summary.created_at == now
        assert await storage.exists(key())


_EAST, _WEST = timezone(timedelta(hours=23)), timezone(timedelta(hours=-23))
_LIVES = [(timedelta(minutes=30), None), (timedelta(days=100_000), timedelta(days=100_000)), (None, timedelta(hours=1))]


@pytest.mark.parametrize("at", [datetime.max, datetime.min, datetime(9999, 12, 30)], ids=str)  # noqa: DTZ001, DTZ901
@pytest.mark.parametrize("zone", [UTC, _EAST, _WEST], ids=str)
@pytest.mark.parametrize(("ttl", "max_lifetime"), _LIVES, ids=str)
async def test_a_session_lives_at_the_end_of_the_times_of_python(
    make_provider: MakeProvider, at: datetime, zone: timezone, ttl: timedelta | None, max_lifetime: timedelta | None
) -> None:
    async with make_provider(lambda: at.replace(tzinfo=zone)) as storage:
        kind: SessionManager[Any] = SessionManager(
            lambda _: {"n": 0}, storage, "ends", ttl=ttl, max_lifetime=max_lifetime
        )
        created = await kind.create_session("s")
        assert created.created
        assert created.metadata is not None
        assert created.metadata.expires_at is not None
        assert created.metadata.created_at.utcoffset() == timedelta(0)
        assert created.metadata.created_at < created.metadata.expires_at
        assert (await kind.update_session("s", lambda state: {"n": state["n"] + 1})).unwrap() == {"n": 1}
        assert (await kind.fork_session("s", "copy")).success
        read = await kind.get_session("s")
        assert read.unwrap() == {"n": 1}
        assert read.metadata == created.metadata
        assert (await storage.set(draft("s", namespace="ends", ttl=ttl, max_lifetime=max_lifetime))) is not None
        assert len((await kind.list_sessions()).sessions) == 2
        assert await storage.count_expired(grace=timedelta.max) == 0
        assert await storage.purge_expired(grace=timedelta.max) == 0
        assert (await kind.delete_session("s")).data


@needs(Capability.ITEMS)
@pytest.mark.parametrize("at", [datetime.max, datetime.min], ids=str)  # noqa: DTZ901
async def test_items_are_appended_at_the_end_of_the_times_of_python(make_provider: MakeProvider, at: datetime) -> None:
    async with make_provider(lambda: at.replace(tzinfo=UTC)) as storage:
        kind: SessionManager[Any] = SessionManager(lambda _: {}, storage, "ends", ttl=timedelta(days=100_000))
        assert (await kind.append_items("s", [1, 2], create=True)).success
        assert (await kind.update_session("s", lambda _: {"n": 1}, append=[3])).success
        assert [item.data for item in (await kind.pop_items("s")).items] == [3]
        assert (await kind.fork_session("s", "copy")).success
        for session_id in ("s", "copy"):
            read = await kind.get_items(session_id, last=3)
            assert [item.data for item in read.items] == [1, 2]
            assert read.metadata is not None
            assert all(abs(item.created_at - read.metadata.created_at) == timedelta(0) for item in read.items)
