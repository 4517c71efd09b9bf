"""A service that uvicorn runs in several processes, see serving.py."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from sessionstore import SessionManager, SessionResult, open_storage
from sessionstore.integrations.starlette import Session, SessionMiddleware, install_error_handlers, session_of

storage = open_storage()
chats: SessionManager[dict[str, Any]] = SessionManager(lambda _: {"turns": 0}, storage, "chats")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with storage:
        yield


app = FastAPI(lifespan=lifespan)
# The tests' client speaks HTTP to this machine, and sends no Secure cookie there.
app.add_middleware(SessionMiddleware, storage=storage, https_only=False)
install_error_handlers(app)


@app.middleware("http")
async def name_the_process(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["X-Pid"] = str(os.getpid())
    return response


@app.get("/show")
async def show(request: Request) -> dict[str, Any]:
    return request.session


@app.get("/sync")
def in_a_thread(request: Request) -> dict[str, Any]:
    request.session["thread"] = True
    return request.session


@app.get("/set")
async def put(request: Request) -> dict[str, Any]:
    request.session.update(request.query_params)
    return request.session


@app.get("/login")
async def login(request: Request) -> dict[str, Any]:
    request.session["user"] = "ann"
    Session.of(request).regenerate(owner_id="ann")
    return request.session


@app.get("/logout")
async def logout(request: Request) -> None:
    request.session.clear()


@app.get("/hang")
async def hang(request: Request) -> None:
    request.session["hung"] = True
    await asyncio.Event().wait()


@app.post("/chats/{session_id}")
async def create(session_id: str) -> dict[str, Any]:
    return (await chats.create_session(session_id)).unwrap()


@app.get("/chats/{session_id}")
async def chat(found: Annotated[SessionResult[dict[str, Any]], Depends(session_of(chats))]) -> dict[str, Any]:
    return found.unwrap()


@app.websocket("/talk")
async def talk(websocket: WebSocket) -> None:
    websocket.session["talks"] = websocket.session.get("talks", 0) + 1
    await websocket.accept()
    try:
        while True:
            websocket.session["said"] = await websocket.receive_text()
            if websocket.session["said"] == "save":
                await Session.of(websocket).save()
            await websocket.send_json(websocket.session)
    except WebSocketDisconnect:
        websocket.session["left"] = True
