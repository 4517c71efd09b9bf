"""What our sessions do that Django's own backends do not, through its store and through its request handler."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings

from sessionstore import ConfigurationError, StorageUnavailableError
from sessionstore.integrations.django import SessionStore
from sessionstore.integrations.django import keeper as keepers
from sessionstore.integrations.django.apps import check_storage
from sessionstore.integrations.django.keeper import forget, keeper
from sessionstore.sync import StorageProvider, open_storage
from sessionstore.testing.clock import ManualClock


def _saved(**values: Any) -> str:
    session = SessionStore()
    session.update(values)
    session.save()
    assert session.session_key is not None
    return str(session.session_key)


def test_requests_that_set_different_keys_lose_neither(engine: str) -> None:
    key = _saved(begun=True)
    one, other = SessionStore(key), SessionStore(key)
    one["a"], other["b"] = 1, 2  # both have loaded the session before either saves it
    one.save()
    other.save()
    assert dict(SessionStore(key).items()) == {"begun": True, "a": 1, "b": 2}


def test_a_browser_that_sends_many_requests_at_once_loses_no_key(engine: str) -> None:
    browser = Client()
    browser.get("/put/begun/yes")
    cookies = browser.cookies

    def put(n: int) -> int:
        client = Client()
        client.cookies = cookies
        return int(client.get(f"/put/k{n}/v{n}").status_code)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(put, range(40))) == {200}
    assert browser.get("/show").json() == {"begun": "yes", **{f"k{n}": f"v{n}" for n in range(40)}}


async def test_asynchronous_views_of_one_browser_lose_no_key(engine: str) -> None:
    browser = AsyncClient()
    await browser.get("/aput/begun/yes")

    async def put(n: int) -> int:
        client = AsyncClient()
        client.cookies = browser.cookies
        return int((await client.get(f"/aput/k{n}/v{n}")).status_code)

    assert set(await asyncio.gather(*map(put, range(40)))) == {200}
    session = SessionStore(browser.cookies["sessionid"].value)
    assert dict(await session.aitems()) == {"begun": "yes", **{f"k{n}": f"v{n}" for n in range(40)}}


def test_threads_that_come_first_share_one_storage(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    all_begun = Barrier(8, timeout=60)

    def held(url: str, **options: Any) -> StorageProvider:
        all_begun.wait()  # every thread has seen that there is none yet
        return open_storage(url, **options)

    forget()
    monkeypatch.setattr(keepers, "open_storage", held)
    with ThreadPoolExecutor(8) as threads:
        made = [*threads.map(lambda _: keeper(), range(8))]
    assert len({id(one) for one in made}) == 1


def test_a_nested_change_is_saved_and_a_removed_key_stays_removed(engine: str) -> None:
    key = _saved(cart={"items": []}, old=1)
    one = SessionStore(key)
    one["cart"]["items"].append("book")
    del one["old"]
    other = SessionStore(key)
    other["new"] = 1
    one.save()
    other.save()
    assert dict(SessionStore(key).items()) == {"cart": {"items": ["book"]}, "new": 1}


def test_a_cleared_session_keeps_only_keys_set_afterwards(engine: str) -> None:
    key = _saved(a=1, b=2)
    session = SessionStore(key)
    session.clear()
    session["c"] = 3
    session.save()
    assert dict(SessionStore(key).items()) == {"c": 3}


def test_a_session_that_was_logged_out_does_not_come_back(engine: str) -> None:
    browser = Client()
    browser.get("/in")
    key = browser.cookies["sessionid"].value
    slow = SessionStore(key)
    slow["late"] = 1
    browser.get("/out")
    with pytest.raises(UpdateError):
        slow.save()
    assert not SessionStore(key).exists(key)
    assert browser.get("/show").json() == {}


def test_a_login_changes_the_key_and_the_old_one_is_gone(engine: str) -> None:
    browser = Client()
    browser.get("/put/basket/full")
    before = browser.cookies["sessionid"].value
    browser.get("/in")
    after = browser.cookies["sessionid"].value
    assert before != after
    assert not SessionStore().exists(before)
    assert browser.get("/show").json() == {"basket": "full", "user": "u1"}


@pytest.mark.parametrize("value", ["a\0b", "\ud83d", "😀", 2**80, 1e300, [1, [2, {"3": None}]]], ids=ascii)
def test_any_value_that_django_can_serialize_comes_back(engine: str, value: object) -> None:
    assert SessionStore(_saved(value=value))["value"] == value


class PickleSerializer:
    """Makes any bytes, as Django's serializers may."""

    def dumps(self, value: object) -> bytes:
        return pickle.dumps(value)

    def loads(self, data: bytes) -> object:
        return pickle.loads(data)  # noqa: S301 - the test's own data


@pytest.mark.parametrize("value", [timedelta(days=1), {1: (2, None)}, bytes(range(256)), "Ā\0\udc80"], ids=ascii)
def test_a_serializer_may_make_any_bytes(engine: str, value: object) -> None:
    with override_settings(SESSION_SERIALIZER=f"{__name__}.PickleSerializer"):
        session = SessionStore(_saved(value=value))
        assert session["value"] == value
        session["more"] = [value]
        session.save()
        assert dict(SessionStore(session.session_key).items()) == {"value": value, "more": [value]}


@pytest.mark.parametrize("key", ["a\0b", "\ud83d", "\x010000", "Ā", ""], ids=ascii)
def test_any_key_that_django_can_serialize_comes_back(engine: str, key: str) -> None:
    session = SessionStore(_saved(**{key: 1, "other": 2}))
    assert dict(session.items()) == {key: 1, "other": 2}
    del session[key]
    session.save()
    assert dict(SessionStore(session.session_key).items()) == {"other": 2}


def test_keys_become_strings_as_in_django(engine: str) -> None:
    session = SessionStore()
    session[1], session[None] = "one", "none"
    session.save()
    assert dict(SessionStore(session.session_key).items()) == {"1": "one", "null": "none"}


def test_a_longer_expiry_is_kept_by_the_storage_too(engine: str) -> None:
    key = _saved(a=1)
    session = SessionStore(key)
    session.set_expiry(timedelta(days=300))
    session.save()
    metadata = keeper().manager.get_session(key, touch=False).metadata
    assert metadata is not None
    assert metadata.expires_at is not None
    assert metadata.expires_at - metadata.updated_at >= timedelta(days=299)
    assert SessionStore(key)["a"] == 1


def test_a_session_is_gone_when_its_own_expiry_is_over(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = SessionStore()
    session["a"] = 1
    session.set_expiry(60)
    session.save()
    key = str(session.session_key)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59)
    assert SessionStore(key)["a"] == 1
    late = SessionStore(key)
    late["b"] = 2
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert not SessionStore().exists(key)
    with pytest.raises(UpdateError):
        late.save()


def test_expired_rows_are_deleted_by_clearsessions(shared_url: str, clock: ManualClock) -> None:
    with override_settings(SESSIONSTORE={"URL": shared_url, "OPTIONS": {"clock": clock}}):
        _saved(a=1)
        clock.advance(timedelta(days=10))
        key = _saved(b=2)
        clock.advance(timedelta(days=10))
        storage = keeper().storage
        assert [(stats.live, stats.expired) for stats in storage.stats("django")] == [(1, 1)]
        call_command("clearsessions")
        assert [(stats.live, stats.expired) for stats in storage.stats("django")] == [(1, 0)]
        assert SessionStore(key)["b"] == 2
        storage.close()


def test_a_storage_that_is_down_is_an_error_and_no_empty_session() -> None:
    nowhere = {"URL": "postgresql://nobody@127.0.0.1:1/none"}
    with override_settings(SESSIONSTORE=nowhere):
        with pytest.raises(StorageUnavailableError):
            SessionStore("a" * 32).load()
        (found,) = check_storage()
        assert found.id == "sessionstore.E003"
        keeper().storage.close()


def test_the_check_says_that_tables_are_missing(tmp_path: Any) -> None:
    with override_settings(SESSIONSTORE={"URL": f"sqlite+aiosqlite:///{tmp_path}/empty.db"}):
        (found,) = check_storage()
        assert found.id == "sessionstore.E002"
        assert "sessionstore migrate upgrade" in found.msg
        assert found.hint is not None
        assert "`sessionstore migrate upgrade --database-url URL`" in found.hint
        assert str(tmp_path) not in found.hint
        keeper().storage.close()


def test_the_check_says_how_the_tables_of_a_schema_are_made(sessionstore_postgresql_url: str) -> None:
    with override_settings(SESSIONSTORE={"URL": sessionstore_postgresql_url, "SCHEMA": "nobodys"}):
        (found,) = check_storage()
        assert found.hint is not None
        assert "`sessionstore migrate upgrade --database-url URL --schema SCHEMA`" in found.hint
        keeper().storage.close()


def test_the_check_names_no_option_for_a_setting_of_the_environment(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", f"sqlite:///{tmp_path}/empty.db")
    with override_settings(SESSIONSTORE={}):
        (found,) = check_storage()
        assert found.hint == "run `sessionstore migrate upgrade`"
        keeper().storage.close()


async def test_synchronous_methods_in_a_coroutine_name_the_others(engine: str) -> None:
    session = SessionStore()
    await session.aset("a", 1)
    await session.asave()
    key = session.session_key
    uses: list[Callable[[], object]] = [
        lambda: SessionStore(key)["a"],
        lambda: SessionStore().exists("k" * 32),
        session.save,
        session.delete,
        SessionStore.clear_expired,
    ]
    for use in uses:
        with pytest.raises(ConfigurationError, match=r"session\.aget\(\) and aset\(\)"):
            use()
    assert await SessionStore(key).aget("a") == 1


@pytest.mark.parametrize("wrong", [{"ULR": "memory://"}, {"URL": "nothing://"}, {"URL": "memory://", "SCHEMA": "x"}])
def test_the_check_names_a_wrong_setting(wrong: dict[str, str]) -> None:
    with override_settings(SESSIONSTORE=wrong):
        (found,) = check_storage()
        assert found.id == "sessionstore.E001"
        assert found.msg.startswith("SESSIONSTORE")


def test_the_check_is_silent_where_all_is_well(engine: str) -> None:
    assert check_storage() == []
    call_command("check")
