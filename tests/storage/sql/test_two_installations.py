"""Two installations in one database do not see each other, whatever the search path is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionstore import StorageError, migrate, open_storage
from sessionstore.storage import Append, Window
from sessionstore.storage.items import NewItem
from sessionstore.testing.postgres import PostgresServer
from sessionstore.testing.support.documents import draft, key
from tests.support.bystander import ask, set_for_everybody
from tests.support.roles import Deployment, deployment

OTHER = 'The "other" one'


@pytest.fixture
def deployed(server: PostgresServer) -> Iterator[Deployment]:
    with deployment(server) as made:
        migrate.upgrade(made.database.url, schema=OTHER)
        yield made


@pytest.mark.parametrize("path", ['"The ""other"" one", sessionstore', "sessionstore, pg_catalog", "''", "pg_temp"])
async def test_each_schema_has_its_own_sessions_items_and_triggers(
    deployed: Deployment, driver: str, path: str
) -> None:
    set_for_everybody(deployed.database, f"search_path = {path}")
    async with (
        open_storage(deployed.url("service", driver)) as ours,
        open_storage(deployed.database.url, schema=OTHER) as others,
    ):
        for storage, text in ((ours, "1"), (others, "2")):
            await storage.create(draft(state=text))
            assert await storage.append(Append(key(), [NewItem(text, id="i")]))
        assert await ours.delete(key())
        assert ask(deployed.database, "SELECT count(*) FROM sessionstore.items") == [(0,)]
        kept = await others.get(key(), window=Window())
        assert kept is not None
        assert (kept.state, [item.text for item in kept.items]) == ("2", ["2"])
        assert await ours.clear() == 0
        await ours.check()
    migrate.check(deployed.url("service"))
    migrate.downgrade(deployed.database.url, schema=OTHER, revision="base")
    migrate.check(deployed.url("service"))


async def test_a_grant_on_one_schema_does_not_count_for_the_other(deployed: Deployment, driver: str) -> None:
    async with open_storage(deployed.url("service", driver), schema=OTHER) as storage:
        with pytest.raises(StorageError, match='`GRANT USAGE ON SCHEMA "The ""other"" one" TO "service '):
            await storage.get(key())
