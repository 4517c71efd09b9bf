"""The task store of docs/frameworks/examples.md. The SDK's own store in memory says what is right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from a2a.auth.user import User
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    Artifact,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionstore import MemoryStorageProvider, StorageError, StorageProvider, open_storage
from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL
from tests.integrations.pages import fresh_directory, names_of, python_blocks, run

__all__ = ["fresh_directory"]

_BLOCK = next(block for block in python_blocks("examples.md") if "a2a" in block.code)
_EXAMPLE = names_of(_BLOCK)


class _Named(User):
    """A user whom the server has authenticated."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name


def _of(user: str) -> ServerCallContext:
    return ServerCallContext(user=_Named(user))


def _tasks(storage: StorageProvider) -> Any:
    return _EXAMPLE["StoredTasks"](storage, ttl=TTL)


def _task(task_id: str, text: str = "hello", *, at: int | None = None, **fields: Any) -> Task:
    status = TaskStatus(state=TaskState.TASK_STATE_WORKING)
    if at is not None:
        status.timestamp.CopyFrom(Timestamp(seconds=at, nanos=123))
    said = Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text=text), Part(raw=b"\0\xff")])
    task = Task(**{"id": task_id, "context_id": "c", "status": status, "history": [said], **fields})
    task.artifacts.append(Artifact(artifact_id="a1", name="answer", parts=[Part(text=text)]))
    task.metadata.update({"n": 1.5, "list": [None, True, {"k": "v"}]})
    return task


def test_the_program_runs(fresh_directory: Path) -> None:
    assert run(_BLOCK)


async def test_tasks_come_back_as_they_were_saved(storage: StorageProvider) -> None:
    tasks = _tasks(storage)
    for user in ("", "alice", "a/b", "\0", "u" * 300):
        for task_id in ("t", "t/1", "~", "t" * 300):
            assert await tasks.get(task_id, _of(user)) is None
            for text in ("first", "second"):
                await tasks.save(_task(task_id, f"{user} {text}", at=5), _of(user))
    for user in ("", "alice", "a/b", "u" * 300):
        assert await tasks.get("t", _of(user)) == _task("t", f"{user} second", at=5)
        await tasks.delete("t", _of(user))
        await tasks.delete("t", _of(user))
        assert await tasks.get("t", _of(user)) is None
        assert (await tasks.list(ListTasksRequest(), _of(user))).total_size == 3


_USERS = st.sampled_from(["alice", "bob"])
_IDS = st.sampled_from(["t1", "t2", "t3", "t4", "t5"])
_STATES = st.sampled_from([TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED])
_TIMES = st.none() | st.integers(1, 3)
_SAVES = st.tuples(st.just("save"), _USERS, _IDS, _STATES, _TIMES, st.sampled_from(["c", "d"]))
_DELETES = st.tuples(st.just("delete"), _USERS, _IDS)


async def _listed(tasks: TaskStore, user: str, **wanted: Any) -> list[Any]:
    """All pages."""
    pages: list[Any] = []
    token = ""
    while True:
        page = await tasks.list(ListTasksRequest(page_token=token, **wanted), _of(user))
        pages.append(page)
        if not (token := page.next_page_token):
            return pages


@settings(max_examples=50, deadline=None)
@given(st.lists(_SAVES | _DELETES, max_size=12))
def test_random_programs_get_the_answers_of_the_store_in_memory(program: list[Any]) -> None:
    async def check() -> None:
        ours, theirs = _tasks(MemoryStorageProvider()), InMemoryTaskStore()
        for what, user, task_id, *rest in program:
            for store in (ours, theirs):
                if what == "delete":
                    await store.delete(task_id, _of(user))
                    continue
                state, at, context_id = rest
                task = _task(task_id, at=at, context_id=context_id)
                task.status.state = state
                await store.save(task, _of(user))
        for user in ("alice", "bob", "nobody"):
            for wanted in (
                {"page_size": 2},
                {"context_id": "d"},
                {"status": TaskState.TASK_STATE_COMPLETED, "page_size": 1},
                {"status_timestamp_after": Timestamp(seconds=2)},
            ):
                assert await _listed(ours, user, **wanted) == await _listed(theirs, user, **wanted)
            for task_id in ("t1", "t5"):
                assert await ours.get(task_id, _of(user)) == await theirs.get(task_id, _of(user))

    asyncio.run(check())


async def test_many_tasks_are_listed(storage: StorageProvider) -> None:
    tasks = _tasks(storage)
    await asyncio.gather(*(tasks.save(Task(id=f"t{number}"), _of("alice")) for number in range(600)))
    page = await tasks.list(ListTasksRequest(page_size=10), _of("alice"))
    assert (len(page.tasks), page.total_size) == (10, 600)


class _Echo(AgentExecutor):
    """An agent that answers at once."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id is not None
        assert context.context_id is not None
        await event_queue.enqueue_event(
            context.current_task
            or Task(
                id=context.task_id,
                context_id=context.context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                history=[context.message] if context.message else [],
            )
        )
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        await updater.add_artifact([Part(text=f"you said {context.get_user_input()}")], name="answer")
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


def _server(storage: StorageProvider) -> DefaultRequestHandler:
    card = AgentCard(name="echo", version="1", capabilities=AgentCapabilities())
    return DefaultRequestHandler(_Echo(), _tasks(storage), card)


async def test_another_server_answers_for_a_task(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as another:
        said = Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text="hello")])
        sent = await _server(one).on_message_send(SendMessageRequest(message=said), _of("alice"))
        assert isinstance(sent, Task)
        found = await _server(another).on_get_task(GetTaskRequest(id=sent.id), _of("alice"))
        assert found is not None
        assert found.status.state == TaskState.TASK_STATE_COMPLETED
        assert [part.text for artifact in found.artifacts for part in artifact.parts] == ["you said hello"]
        assert await _tasks(another).get(sent.id, _of("mallory")) is None


async def test_two_servers_that_save_a_task_at_once_do_not_mix_versions(shared_url: str) -> None:
    async with open_storage(shared_url) as one, open_storage(shared_url) as another:
        versions = [_task("t", f"{number}") for number in range(10)]
        stores = [_tasks(one), _tasks(another)] * 5
        await asyncio.gather(*(store.save(task, _of("alice")) for store, task in zip(stores, versions, strict=True)))
        assert await stores[0].get("t", _of("alice")) in versions


async def test_a_task_expires(storage: StorageProvider, clock: ManualClock) -> None:
    tasks = _tasks(storage)
    await tasks.save(_task("t"), _of("alice"))
    clock.advance(TTL * 0.9)
    assert await tasks.get("t", _of("alice")) is not None
    clock.advance(TTL * 1.2)
    assert await tasks.get("t", _of("alice")) is None
    assert (await tasks.list(ListTasksRequest(), _of("alice"))).total_size == 0


async def test_an_outage_is_no_missing_task() -> None:
    storage = MemoryStorageProvider()
    tasks = _tasks(storage)
    await storage.close()
    calls = [
        tasks.get("t", _of("alice")),
        tasks.save(_task("t"), _of("alice")),
        tasks.list(ListTasksRequest(), _of("alice")),
        tasks.delete("t", _of("alice")),
    ]
    for call in calls:
        with pytest.raises(StorageError):
            await call
