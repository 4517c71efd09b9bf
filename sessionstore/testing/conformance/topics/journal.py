"""The journal of a row: its last writes and idempotency keys. See sessionstore/storage/journal.py."""

from __future__ import annotations

from sessionstore import StorageProvider
from sessionstore.storage import Document, Write
from sessionstore.storage.journal import ID_CHARS, WRITES, Fate, Journal, entry, fate

from ...clock import ManualClock
from ...support.documents import TTL, draft, key, put, rewrite

_ENTRY = len(entry("abcdefgh", 1))


async def read(storage: StorageProvider, name: str = "s") -> Document:
    (document,) = await storage.get_many([key(name)], touch=False, journal=True)
    assert document is not None
    return document


async def journal(storage: StorageProvider, name: str = "s") -> Journal:
    found = (await read(storage, name)).journal
    assert found is not None
    return found


async def test_a_new_session_remembers_nothing(storage: StorageProvider, clock: ManualClock) -> None:
    await storage.create(draft())
    assert await journal(storage) == Journal("", "")
    await storage.update(Write((await read(storage)).summary, "[1]", keys="0123456789ab"))
    clock.advance(2 * TTL)
    await storage.create(draft())
    assert await journal(storage) == Journal("", "")
    clock.advance(2 * TTL)
    summary = await storage.set(draft())
    assert await journal(storage) == Journal(entry(summary.last_write, 1), "")


async def test_a_journal_is_read_only_where_it_is_asked_for(storage: StorageProvider) -> None:
    made = await storage.create(draft())
    assert made.document.journal is None
    found = await storage.get(key())
    assert found is not None
    assert found.journal is None
    (touched,) = await storage.get_many([key()], touch=True, journal=True)
    assert touched is not None
    assert touched.journal == Journal("", "")


async def test_a_write_is_noted_with_its_id_and_count(storage: StorageProvider) -> None:
    await storage.create(draft())
    first = rewrite(await read(storage))
    assert await storage.update(first) is not None
    second = Write((await read(storage)).summary, "[2]", count=300)
    assert await storage.update(second) is not None
    assert (await journal(storage)).writes == entry(second.id, 300) + entry(first.id, 1)


async def test_a_write_that_does_not_land_is_not_noted(storage: StorageProvider) -> None:
    await storage.create(draft())
    stale = rewrite(await read(storage))
    landed = rewrite(await read(storage))
    assert await storage.update(landed) is not None
    assert await storage.update(stale) is None
    assert (await journal(storage)).writes == entry(landed.id, 1)


async def test_a_write_under_lock_reads_the_journal_and_is_noted(storage: StorageProvider) -> None:
    await storage.create(draft())
    seen: list[Journal | None] = []

    def apply(document: Document) -> Write:
        seen.append(document.journal)
        return rewrite(document)

    await storage.update_locked(key(), apply)
    await storage.update_locked(key(), apply)
    assert [None if it is None else len(it.writes) // _ENTRY for it in seen] == [0, 1]
    assert len((await journal(storage)).writes) == 2 * _ENTRY


async def test_set_is_noted_and_a_touch_is_not(storage: StorageProvider) -> None:
    await put(storage, "s")
    await storage.update(Write((await read(storage)).summary, "[1]", keys="0123456789ab"))
    before = await journal(storage)
    await storage.touch(key())
    assert await journal(storage) == before
    ids = {(await storage.set(draft())).last_write, (await storage.set(draft())).last_write}
    after = await journal(storage)
    assert ids == {after.writes[:ID_CHARS], after.writes[_ENTRY : _ENTRY + ID_CHARS]}
    assert len(ids) == 2
    assert after == Journal(after.writes[: 2 * _ENTRY] + before.writes, "0123456789ab")


async def test_keys_stay_until_a_write_brings_others(storage: StorageProvider) -> None:
    await storage.create(draft())
    await storage.update(Write((await read(storage)).summary, "[1]", keys="0123456789ab"))
    await storage.update(rewrite(await read(storage)))
    assert (await journal(storage)).keys == "0123456789ab"
    await storage.update(Write((await read(storage)).summary, "[1]", keys=""))
    assert (await journal(storage)).keys == ""


async def test_the_last_sixteen_writes_are_remembered(storage: StorageProvider) -> None:
    await storage.create(draft())
    lost = rewrite(await read(storage))
    never = rewrite(await read(storage))
    await storage.update(lost)
    told: list[tuple[Fate, Fate]] = []
    for _ in range(WRITES + 1):
        document = await read(storage)
        assert document.journal is not None
        version, writes = document.summary.version, document.journal.writes
        read_at = lost.read.version
        told.append((fate(lost.id, read_at, version, writes), fate(never.id, read_at, version, writes)))
        await storage.update(rewrite(document))
    assert told == [(Fate.LANDED, Fate.NOT_LANDED)] * WRITES + [(Fate.UNTOLD, Fate.UNTOLD)]
