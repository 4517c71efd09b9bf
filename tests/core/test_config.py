from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    MemoryStorageProvider,
    OrchestrationStateManager,
    SessionManager,
    StorageProvider,
    open_storage,
)
from sessionstore.config import MAX_DURATION
from sessionstore.testing.support.documents import new_chat

HALF_AN_HOUR = timedelta(minutes=30)


async def ttl_of_a_new_session(storage: StorageProvider, **options: Any) -> timedelta | None:
    created = await SessionManager(new_chat, storage, **options).create_session()
    assert created.metadata is not None
    return created.metadata.ttl


async def ttl_of_a_new_orchestration(storage: StorageProvider, **options: Any) -> timedelta | None:
    await OrchestrationStateManager(storage, **options).get_or_create_state("s")
    (summary,) = (await storage.list("orchestration-state")).sessions
    return summary.ttl


@pytest.mark.parametrize(
    ("setting", "ttl", "orchestration_ttl"),
    [
        (None, HALF_AN_HOUR, timedelta(hours=24)),
        ("90", timedelta(seconds=90), timedelta(seconds=90)),
        ("0", None, None),
        (str(int(MAX_DURATION.total_seconds())), MAX_DURATION, MAX_DURATION),
    ],
)
async def test_the_environment_sets_the_ttl_that_no_caller_sets(
    storage: StorageProvider,
    monkeypatch: pytest.MonkeyPatch,
    setting: str | None,
    ttl: timedelta | None,
    orchestration_ttl: timedelta | None,
) -> None:
    if setting is not None:
        monkeypatch.setenv("SESSION_TTL_SECONDS", setting)
    assert await ttl_of_a_new_session(storage) == ttl
    assert await ttl_of_a_new_orchestration(storage) == orchestration_ttl


@pytest.mark.parametrize("setting", ["90", "0", "nonsense"])
async def test_an_explicit_ttl_wins_over_the_environment(
    storage: StorageProvider, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("SESSION_TTL_SECONDS", setting)
    # Also if the explicit TTL equals the default.
    assert await ttl_of_a_new_session(storage, ttl=timedelta(minutes=30)) == HALF_AN_HOUR
    assert await ttl_of_a_new_session(storage, ttl=None) is None
    assert await ttl_of_a_new_orchestration(storage, ttl=timedelta(hours=24)) == timedelta(hours=24)


@pytest.mark.parametrize(
    "setting", ["", "-5", "1.5", "1e3", "+5", " 60", "30m", "\u0663", "s3cret" * 20, "9" * 20, "9" * 5000]
)
@pytest.mark.parametrize("manager", [lambda: SessionManager(new_chat), OrchestrationStateManager], ids=["any", "orch"])
def test_an_invalid_ttl_setting_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, manager: Any, setting: str
) -> None:
    monkeypatch.setenv("SESSION_TTL_SECONDS", setting)
    with pytest.raises(ConfigurationError, match="SESSION_TTL_SECONDS") as raised:
        manager()
    assert len(str(raised.value)) < 150
    assert str(raised.value).isascii()


BAD_DURATIONS = [timedelta(0), timedelta(microseconds=-1), timedelta.max, 60, 1.5, "1h", True]


@pytest.mark.parametrize("bad", BAD_DURATIONS, ids=str)
async def test_an_invalid_duration_is_refused_by_its_name(bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^ttl must be"):
        SessionManager(new_chat, ttl=bad)
    with pytest.raises(ConfigurationError, match=r"^max_lifetime must be"):
        SessionManager(new_chat, max_lifetime=bad)
    with pytest.raises(ConfigurationError, match=r"^ttl must be"):
        OrchestrationStateManager(ttl=bad)
    storage = MemoryStorageProvider()
    with pytest.raises(ConfigurationError, match=r"^ttl must be"):
        await SessionManager(new_chat, storage).create_session("s", ttl=bad)
    assert await storage.stats() == []


async def test_the_longest_and_the_shortest_duration_are_accepted(storage: StorageProvider) -> None:
    for ttl in (MAX_DURATION, timedelta(microseconds=1)):
        assert await ttl_of_a_new_session(storage, ttl=ttl, max_lifetime=ttl) == ttl


SCHEMAS = {"64 bytes": "x" * 64, "64 bytes of UTF-8": "\u00e4" * 32, "endless": "x" * 100_000, "NUL": "a\0b"}


@pytest.mark.parametrize("schema", list(SCHEMAS.values()), ids=list(SCHEMAS))
def test_a_schema_that_postgresql_would_cut_or_refuse_is_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="schema") as raised:
        open_storage("postgresql://app@db/app", schema=schema)
    assert len(str(raised.value)) < 200
    assert str(raised.value).isprintable()


def test_a_schema_from_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSIONSTORE_SCHEMA", "x" * 64)
    with pytest.raises(ConfigurationError, match="63 bytes"):
        open_storage("postgresql://app@db/app")
    assert open_storage("postgresql://app@db/app", schema="\u00e4" * 31 + "x") is not None
