"""The write cache: which documents it remembers, and when an update may begin with one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sessionstore.storage import Document, Key, Summary
from sessionstore.updates import write_cache as recent
from sessionstore.updates.write_cache import WriteCache

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def key(name: str) -> Key:
    return Key("chat", name)


def document(name: str, state: str = "{}", *, version: int = 1) -> Document:
    summary = Summary(key(name), version, _NOW, _NOW, _NOW, None, None, None, None, None)
    return Document(state, summary)


def turn_time(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
    monkeypatch.setattr(recent, "monotonic", lambda: seconds[0])


def test_a_read_for_an_update_does_not_replace_a_later_write_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    turn_time(monkeypatch, now)
    cache = WriteCache(1.0)
    cache.wrote(document("s", "later", version=2))
    cache.read_for_update(document("s", "earlier", version=1))
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["later"]
    now[0] = 0.9
    cache.read_for_update(document("s", "later", version=2))
    now[0] = 1.8
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["later"]
    cache.read_for_update(document("s", "latest", version=3))
    assert [it.state for it in cache.guesses([key("s")]) or ()] == ["latest"]


def test_a_document_stays_in_the_write_cache_for_the_time_set(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    turn_time(monkeypatch, seconds)
    remembered = WriteCache(1.0)
    remembered.wrote(document("s"))
    seconds[0] = 101.0
    assert remembered.guesses([key("s")]) == [document("s")]
    seconds[0] = 101.01
    assert remembered.guesses([key("s")]) is None
    remembered.wrote(document("t"))
    assert list(remembered._sessions) == [key("t")]


def test_the_write_cache_does_not_exceed_its_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_CAPACITY", 10)
    remembered = WriteCache(1.0)
    for name, state in (("a", "1234"), ("b", "1234"), ("a", "123456"), ("c", "1234"), ("d", "12345678901")):
        remembered.wrote(document(name, state))
        kept = [session.document.state for session in remembered._sessions.values() if session.document is not None]
        assert sum(map(len, kept)) == remembered._chars <= 10
    assert remembered._sessions == {}
    remembered.wrote(document("a", "1234"))
    remembered.forget(key("a"))
    assert (remembered._chars, remembered.guesses([key("a")])) == (0, None)


def guesses_until_it_stops(remembered: WriteCache, *names: str) -> int:
    """How many wrong guesses of these sessions together it makes."""
    count = 0
    while remembered.guesses(map(key, names)) is not None:
        count += 1
        for name in names:
            remembered.guessed(key(name), right=False)
            remembered.wrote(document(name))
    return count


@pytest.mark.parametrize(("sessions", "wrong"), [(1, 6), (2, 3), (4, 2), (16, 1)])
def test_guessing_stops_where_more_likely_than_not_one_of_a_batch_is_wrong(sessions: int, wrong: int) -> None:
    remembered = WriteCache(60.0)
    names = [str(number) for number in range(sessions)]
    for name in names:
        remembered.wrote(document(name))
    assert guesses_until_it_stops(remembered, *names) == wrong


def test_reads_tell_when_guessing_pays_again() -> None:
    remembered = WriteCache(60.0)
    remembered.wrote(document("s"))
    guesses_until_it_stops(remembered, "s")
    for found in (None, document("s", version=2), document("s", version=2)):
        remembered.read(key("s"), found)
        assert remembered.guesses([key("s")]) is None
    reads = 0
    while remembered.guesses([key("s")]) is None:
        remembered.read(key("s"), document("s"))
        reads += 1
    assert reads == 3


def test_a_forgotten_document_does_not_count_as_a_wrong_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    turn_time(monkeypatch, seconds)
    remembered = WriteCache(1.0)
    remembered.wrote(document("s"))
    remembered.forget(key("s"))
    seconds[0] = 102.0
    remembered.wrote(document("t"))
    seconds[0] = 104.0
    for name in ("s", "t", "u"):
        remembered.read(key(name), None)
    remembered.wrote(document("s"))
    assert remembered._rate == remembered._sessions[key("s")].rate == 1.0


def test_a_new_session_begins_with_the_rate_of_the_other_sessions() -> None:
    remembered = WriteCache(60.0)
    for number in range(30):
        remembered.wrote(document(str(number)))
        remembered.guessed(key(str(number)), right=False)
    remembered.wrote(document("new"))
    assert remembered.guesses([key("new")]) is None
