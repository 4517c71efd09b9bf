"""Examples of use, which type checkers read and nobody runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, assert_type

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from sessionstore import SessionManager, SessionResult, StorageProvider
from sessionstore.errors import SessionStoreError
from sessionstore.integrations.starlette import (
    Session,
    SessionMiddleware,
    install_error_handlers,
    problem_handlers,
    problem_of,
    problem_response,
    session_of,
)


class Chat(BaseModel):
    turns: int = 0


class Message(BaseModel):
    text: str


def applications(storage: StorageProvider) -> None:
    Starlette(middleware=[Middleware(SessionMiddleware, storage=storage, cookie="__Host-session", same_site="strict")])
    app = FastAPI(exception_handlers=problem_handlers)
    app.add_middleware(SessionMiddleware, storage=storage, ttl=timedelta(hours=1), https_only=False, timeout=None)
    install_error_handlers(app)
    install_error_handlers(Starlette())


async def handlers(request: Request, websocket: WebSocket, error: SessionStoreError) -> None:
    session = Session.of(request)
    assert_type(session, Session)
    assert_type(session["user"], Any)
    assert_type(session.session_id, "str | None")
    session.regenerate(owner_id="ann")
    session.regenerate(owner_id=None)
    await Session.of(websocket).save()
    assert_type(problem_of(error), dict[str, Any])
    assert_type(problem_response(error), Response)


async def dependencies(chats: SessionManager[Chat, Message]) -> None:
    found = await session_of(chats, last_items=10)()
    assert_type(found, SessionResult[Chat, Message])
    assert_type(found.unwrap(), Chat)

    async def user() -> str:
        return "ann"

    async def show(
        chat: Annotated[SessionResult[Chat, Message], Depends(session_of(chats, header="X-Chat", owner=user))],
    ) -> int:
        return chat.unwrap().turns + len(chat.items[0].data.text)

    FastAPI().get("/")(show)
