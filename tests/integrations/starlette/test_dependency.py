"""session_of: the session that a request names, by path or header."""

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, FastAPI, Header
from pydantic import BaseModel

from sessionstore import ConfigurationError, SessionManager, SessionResult, StorageProvider
from sessionstore.integrations.starlette import install_error_handlers, session_of
from tests.integrations.starlette.browsing import browser


class Chat(BaseModel):
    title: str = "new"
    turns: int = 0


def manager(storage: StorageProvider, **options: Any) -> SessionManager[Chat]:
    return SessionManager(lambda _: Chat(), storage, "chats", state_type=Chat, **options)


def login(x_user: Annotated[str, Header()]) -> str:
    return x_user


def service(chats: SessionManager[Chat]) -> FastAPI:
    app = FastAPI()

    @app.post("/chats/{session_id}")
    async def create(session_id: str) -> Chat:
        return (await chats.create_session(session_id, items=["hello"], owner_id="ann")).unwrap()

    @app.get("/chats/{session_id}")
    async def show(chat: Annotated[SessionResult[Chat], Depends(session_of(chats, last_items=5))]) -> dict[str, Any]:
        return {"id": chat.session_id, "chat": chat.unwrap(), "items": [item.data for item in chat.items]}

    @app.get("/mine/{chat_id}")
    async def mine(
        chat: Annotated[SessionResult[Chat], Depends(session_of(chats, path="chat_id", owner=login))],
    ) -> Chat:
        return chat.unwrap()

    @app.get("/current")
    async def current(chat: Annotated[SessionResult[Chat], Depends(session_of(chats, header="X-Chat"))]) -> Chat:
        return chat.unwrap()

    @app.put("/chats/{session_id}")
    async def rename(
        chat: Annotated[SessionResult[Chat], Depends(session_of(chats))],
        title: Annotated[str, Body(embed=True)],
        if_match: Annotated[int, Header()],
    ) -> Chat:
        def change(state: Chat) -> None:
            state.title = title

        return (await chats.update_session(chat.session_id, change, expected_version=if_match)).unwrap()

    return app


async def test_a_session_is_read_by_path_or_header_and_has_its_type(storage: StorageProvider) -> None:
    async with browser(service(manager(storage))) as client:
        await client.post("/chats/c1")
        shown = (await client.get("/chats/c1")).json()
        assert shown == {"id": "c1", "chat": {"title": "new", "turns": 0}, "items": ["hello"]}
        assert (await client.get("/current", headers={"X-Chat": "c1"})).json() == {"title": "new", "turns": 0}
        assert (await client.get("/current")).status_code == 422


async def test_only_the_owner_finds_a_session(storage: StorageProvider) -> None:
    async with browser(service(manager(storage))) as client:
        await client.post("/chats/c1")
        statuses = [(await client.get("/mine/c1", headers={"X-User": user})).status_code for user in ("ann", "bob")]
        assert statuses == [200, 404]
        assert (await client.get("/mine/c1")).status_code == 422


@pytest.mark.parametrize("handled", [False, True])
async def test_a_session_that_is_not_there_is_a_404_with_and_without_the_handlers(
    storage: StorageProvider, handled: bool
) -> None:
    app = service(manager(storage))
    if handled:
        install_error_handlers(app)
    async with browser(app) as client:
        absent, invalid = await client.get("/chats/absent"), await client.get(f"/chats/{'a' * 300}")
    assert (absent.status_code, invalid.status_code) == (404, 422)
    kind = "application/problem+json" if handled else "application/json"
    assert [response.headers["content-type"] for response in (absent, invalid)] == [kind, kind]
    assert "deleted, or has expired" in absent.json()["detail"]


async def test_conflicts_and_states_that_are_too_large_are_problems(storage: StorageProvider) -> None:
    chats = manager(storage, max_state_bytes=100)
    app = service(chats)
    install_error_handlers(app)
    async with browser(app) as client:

        async def rename(title: str, version: int) -> httpx.Response:
            return await client.put("/chats/c1", json={"title": title}, headers={"If-Match": str(version)})

        await client.post("/chats/c1")
        version = (await chats.get_session("c1")).version
        assert version is not None
        assert (await rename("x", version)).json() == {"title": "x", "turns": 0}
        conflict = await rename("y", version)
        assert (conflict.status_code, conflict.json()["actual"]) == (409, version + 1)
        assert (await rename("y" * 200, version + 1)).status_code == 413
        assert (await rename("y\0", version + 1)).status_code == 422


async def test_the_id_is_a_parameter_in_the_description_of_the_api(storage: StorageProvider) -> None:
    paths = service(manager(storage)).openapi()["paths"]

    def parameters(path: str) -> list[tuple[str, str]]:
        return [(one["name"], one["in"]) for one in paths[path]["get"]["parameters"]]

    assert parameters("/chats/{session_id}") == [("session_id", "path")]
    assert parameters("/mine/{chat_id}") == [("chat_id", "path"), ("x-user", "header")]
    assert parameters("/current") == [("X-Chat", "header")]


def test_an_id_comes_from_one_place(storage: StorageProvider) -> None:
    with pytest.raises(ConfigurationError, match="not from both"):
        session_of(manager(storage), path="a", header="b")
