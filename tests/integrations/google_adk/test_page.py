"""docs/frameworks/google-adk.md is true, and sessions move from ADK's own store as it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.sessions.database_session_service import DatabaseSessionService

from sessionstore.integrations.google_adk import StoredSessionService
from tests.integrations.pages import fresh_directory, python_blocks, run
from tests.support.pages import Block

from .events import APP, USER, event, loaded, texts

__all__ = ["fresh_directory"]


@pytest.mark.usefixtures("fresh_directory")
@pytest.mark.parametrize("block", python_blocks("google-adk.md"), ids=lambda block: block.code[:0] or None)
def test_the_examples_print_what_the_page_says(block: Block) -> None:
    run(block)


async def test_a_session_of_adks_own_store_is_the_same_after_its_move(
    service: StoredSessionService, tmp_path: Path
) -> None:
    async with DatabaseSessionService(f"sqlite+aiosqlite:///{tmp_path / 'adk.db'}") as old:
        session = await old.create_session(app_name=APP, user_id=USER, session_id="s", state={"n": 0, "app:n": 0})
        for number in range(1, 4):
            await old.append_event(session, event(str(number), n=number, app__n=number, user__n=number))
        before = await old.get_session(app_name=APP, user_id=USER, session_id="s")
        assert before is not None
        imported = await service.import_session(before)
        assert (await loaded(service)).model_dump() == imported.model_dump() == before.model_dump()
        assert imported == await loaded(service)
        with pytest.raises(AlreadyExistsError):
            await service.import_session(before)
        await service.append_event(imported, event("goes on"))
        await service.append_event(await loaded(service), before.events[0])
        assert texts(await loaded(service)) == ["1", "2", "3", "goes on"]
