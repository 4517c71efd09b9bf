"""Several providers on the same sessions, as in several processes."""

from __future__ import annotations

import asyncio

from sessionstore import StorageProvider

from ...support.documents import draft, key, rewrite
from ..given import OpenAnother


async def test_a_provider_reads_what_another_one_wrote(storage: StorageProvider, open_another: OpenAnother) -> None:
    other = await open_another()
    assert other is not storage
    assert (await storage.create(draft(state='{"n":1}'))).created
    found = await other.get(key())
    assert found is not None
    assert await other.update(rewrite(found, '{"n":2}')) is not None
    assert await storage.update(rewrite(found, '{"n":3}')) is None
    assert await storage.delete(key())
    assert not await other.exists(key())


async def test_the_sessions_outlive_the_provider(storage: StorageProvider, open_another: OpenAnother) -> None:
    await storage.create(draft(state="[1]"))
    await storage.close()
    found = await (await open_another()).get(key())
    assert found is not None
    assert found.state == "[1]"


async def test_one_of_several_providers_creates_the_session(open_another: OpenAnother) -> None:
    others = [await open_another() for _ in range(3)]
    created = await asyncio.gather(*(other.create(draft(state=f"[{n}]")) for n, other in enumerate(others)))
    assert sorted(each.created for each in created) == [False, False, True]
    assert len({each.document.state for each in created}) == 1
