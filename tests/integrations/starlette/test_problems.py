"""Our errors as problem details, in Starlette and in FastAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from sessionstore import errors
from sessionstore.integrations.starlette import install_error_handlers, problem_handlers, problem_of
from tests.integrations.starlette.browsing import browser

SECRET = "hunter2"

# Each with something in it that clients must not see.
ERRORS: dict[type[errors.SessionStoreError], tuple[errors.SessionStoreError, int]] = {
    errors.SessionStoreError: (errors.SessionStoreError(SECRET), 500),
    errors.ConfigurationError: (errors.ConfigurationError(SECRET), 500),
    errors.SessionNotFoundError: (errors.SessionNotFoundError(SECRET), 404),
    errors.ItemNotFoundError: (errors.ItemNotFoundError(item_id=SECRET), 404),
    errors.SessionConflictError: (errors.SessionConflictError(SECRET, expected=3, actual=4), 409),
    errors.SessionOwnerError: (errors.SessionOwnerError(SECRET), 409),
    errors.InvalidSessionIdError: (errors.InvalidSessionIdError(SECRET, "is bad"), 422),
    errors.InvalidStateError: (errors.InvalidStateError("is bad", path=f"$.{SECRET}", session_id=SECRET), 422),
    errors.StateTooLargeError: (errors.StateTooLargeError(size=9, limit=8, path=f"$.{SECRET}"), 413),
    errors.CorruptStateError: (errors.CorruptStateError("is bad", path=f"$.{SECRET}", session_id=SECRET), 500),
    errors.StorageError: (errors.StorageError(f"role {SECRET}", code="42501"), 503),
    errors.StorageUnavailableError: (errors.StorageUnavailableError(f"host {SECRET}"), 503),
    errors.SessionHeldError: (errors.SessionHeldError(SECRET), 503),
    errors.UpdateOutcomeUnknownError: (errors.UpdateOutcomeUnknownError(SECRET), 503),
    errors.SchemaError: (errors.SchemaError(SECRET, found=SECRET, wanted=SECRET), 503),
}


def _tree(kind: type[errors.SessionStoreError]) -> Iterator[type[errors.SessionStoreError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def test_every_error_of_the_tree_is_tested() -> None:
    ours = {kind for kind in _tree(errors.SessionStoreError) if kind.__module__.startswith("sessionstore.")}
    assert ours == set(ERRORS)


def _apps(error: Exception) -> list[Any]:
    def fails(request: Request) -> None:
        raise error

    first = Starlette(routes=[Route("/", fails)])
    install_error_handlers(first)
    second = FastAPI()
    install_error_handlers(second)
    third = FastAPI(exception_handlers=problem_handlers)
    for app in (second, third):
        app.get("/")(fails)
    return [first, second, third]


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=[kind.__name__ for kind in ERRORS])
async def test_every_error_is_a_problem_that_shows_nothing_secret(error: errors.SessionStoreError, status: int) -> None:
    for app in _apps(error):
        async with browser(app) as client:
            response = await client.get("/")
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "no-store"
        members = response.json()
        assert members == problem_of(error)
        assert members["status"] == status
        assert members["type"].startswith("urn:sessionstore:")
        assert {"title", "detail"} <= set(members)
        assert SECRET not in response.text + str(response.headers)


def test_problems_differ_by_type_and_tell_what_a_client_can_use() -> None:
    assert problem_of(errors.SessionNotFoundError("s"))["type"] == "urn:sessionstore:session-not-found"
    conflict = problem_of(errors.SessionConflictError("s", expected=3, actual=4))
    assert (conflict["status"], conflict["expected"], conflict["actual"]) == (409, 3, 4)
    assert "expected" not in problem_of(errors.SessionConflictError("s", expected=0, actual=4, of="absence"))
    too_large = problem_of(errors.StateTooLargeError(size=9, limit=8))
    assert (too_large["status"], too_large["size"], too_large["limit"]) == (413, 9, 8)

    class OfAService(errors.StorageUnavailableError):
        pass

    assert problem_of(OfAService("x")) == problem_of(errors.StorageUnavailableError("x"))


async def test_faults_of_the_service_are_logged_and_others_are_not(caplog: pytest.LogCaptureFixture) -> None:
    for error, status in ERRORS.values():
        caplog.clear()
        async with browser(_apps(error)[0]) as client:
            await client.get("/")
        assert bool(caplog.records) == (status >= 500)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SessionNotFoundError("s"), 1008),
        (errors.StorageUnavailableError("x"), 1013),
        (errors.ConfigurationError("x"), 1011),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_websocket_is_closed_with_a_code(error: errors.SessionStoreError, code: int) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.websocket("/ws")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise error

    with TestClient(app).websocket_connect("/ws") as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == code
