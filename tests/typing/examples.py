"""What type checkers make of the public API. mypy and basedpyright read this file; nobody runs it.

Each line that must be refused carries the error that it must give, and both checkers complain of an ignore
that is not needed: a signature that got looser fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import assert_type

from pydantic import JsonValue, TypeAdapter
from sqlalchemy.ext.asyncio import AsyncEngine

from sessionstore import (
    CorruptStateError,
    InvalidStateError,
    Item,
    ItemNotFoundError,
    MemoryStorageProvider,
    OrchestrationState,
    OrchestrationStateManager,
    Reaper,
    ReapProgress,
    ReapReport,
    SchemaError,
    SessionConflictError,
    SessionInfo,
    SessionManager,
    SessionMetadata,
    SessionPage,
    SessionResult,
    SessionStoreError,
    SqlStorageProvider,
    StateTooLargeError,
    StorageProvider,
    UpgradeReport,
    open_storage,
    register_storage,
)

from .states import (
    Basket,
    Chat,
    Profile,
    Ticket,
    change_of_another_state,
    changed_in_place,
    changed_later,
    counted,
    new_basket,
    new_chat,
    new_document,
    new_profile,
    new_ticket,
    replaced,
    replaced_by_all_means,
    replaced_by_another,
    replaced_or_not,
)


async def a_manager_carries_the_type_of_its_state(storage: StorageProvider) -> None:
    chats = SessionManager(new_chat, storage, namespace="chat", state_type=Chat)
    assert_type(chats, SessionManager[Chat])

    result = await chats.create_session(origin={"user": "u1", "tags": [1, 2.5, None]}, owner_id="u1", ttl=None)
    assert_type(result, SessionResult[Chat])
    assert_type(result.unwrap(), Chat)
    assert_type(result.data, Chat | None)
    assert_type(result.session_id, str)
    assert_type(result.success, bool)
    assert_type(result.created, bool)
    assert_type(result.version, int | None)
    assert_type(result.error, SessionStoreError | None)
    assert_type(result.metadata, SessionMetadata | None)

    assert_type(await chats.get_session("s", touch=False), SessionResult[Chat])
    assert_type(await chats.update_session("s", changed_in_place, expected_version=1), SessionResult[Chat])
    assert_type(await chats.delete_session("s"), SessionResult[bool])
    assert_type((await chats.delete_session("s", owner_id="u1", expected_version=1)).unwrap(), bool)
    assert_type(await chats.delete_sessions(owner_id="u1"), int)
    assert_type(await chats.get_session("s", owner_id=None), SessionResult[Chat])
    assert_type(await chats.update_session("s", changed_in_place, owner_id="u1"), SessionResult[Chat])


async def every_kind_of_state_keeps_its_type() -> None:
    documents = SessionManager(new_document)
    assert_type((await documents.get_session("s")).unwrap(), dict[str, JsonValue])
    baskets = SessionManager(new_basket, state_type=Basket)
    assert_type((await baskets.get_session("s")).unwrap(), Basket)
    profiles = SessionManager(new_profile, state_type=Profile, ttl=timedelta(hours=1), max_lifetime=None)
    assert_type((await profiles.get_session("s")).unwrap(), Profile)
    tickets = SessionManager(new_ticket, state_type=Ticket, max_state_bytes=1000)
    assert_type((await tickets.get_session("s")).unwrap().session_id, str)
    SessionManager(new_document, unstorable_text="replace")
    SessionManager(new_document, unstorable_text="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    adapted = SessionManager(new_basket, state_type=TypeAdapter(Basket))
    assert_type(adapted, SessionManager[Basket])


async def an_update_returns_the_state_or_changes_it_in_place(chats: SessionManager[Chat]) -> None:
    await chats.update_session("s", changed_in_place)
    await chats.update_session("s", replaced)
    await chats.update_session("s", replaced_or_not)
    await chats.update_session("s", replaced_by_all_means)
    await chats.update_session("s", lambda chat: {"turns": chat["turns"][-10:]})


async def what_is_no_update_of_this_state_is_refused(chats: SessionManager[Chat]) -> None:
    await chats.update_session("s", counted)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chats.update_session("s", changed_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chats.update_session("s", replaced_by_another)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chats.update_session("s", change_of_another_state)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def options_go_by_name_and_ids_are_text(chats: SessionManager[Chat], storage: StorageProvider) -> None:
    await chats.get_session(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chats.get_session("s", False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await chats.create_session("s", [{"user": "u1"}])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await chats.create_session("s", ttl=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    shaped = SessionManager(
        new_chat, storage, state_type=Chat, state_version=3, upgrades={1: dict, 2: list.clear}, item_version=2,
        item_upgrades={1: str},
    )  # fmt: skip
    assert_type(shaped, SessionManager[Chat])
    assert_type(await shaped.upgrade_states(batch_size=10, on_batch=lambda report: None), UpgradeReport)
    SessionManager(new_chat, state_version="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SessionManager(new_chat, upgrades={"1": dict})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    SessionManager(new_chat, storage, "chat", Chat)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def a_manager_carries_the_type_of_its_items(storage: StorageProvider, text: str) -> None:
    chats = SessionManager(new_chat, storage, state_type=Chat, item_type=Profile, keep_items=100, max_item_bytes=1000)
    assert_type(chats, SessionManager[Chat, Profile])
    me = Profile(name="me")

    result = await chats.create_session("s", items=[me], ids=["m1"])
    assert_type(result, SessionResult[Chat, Profile])
    assert_type(result.items, tuple[Item[Profile], ...])
    assert_type(result.items[0].position, int)
    assert_type(result.items[0].created_at, datetime)
    assert_type(result.last_position, int | None)
    assert_type(await chats.get_session("s", last_items=50, log="agent"), SessionResult[Chat, Profile])
    updated = await chats.update_session("s", changed_in_place, append=[me], ids=[None], log="agent")
    assert_type(updated, SessionResult[Chat, Profile])
    appended = await chats.append_items("s", [me], ids=["m2"], create=True, expected_position=1, idempotency_key="k")
    assert_type(appended, SessionResult[None, Profile])
    assert_type(await chats.get_items("s", last=5), SessionResult[None, Profile])
    assert_type(await chats.get_items("s", after=5, before=9, limit=2, touch=False), SessionResult[None, Profile])
    assert_type(await chats.get_items("s", ids=["m1"]), SessionResult[None, Profile])
    assert_type((await chats.find_item("m1", owner_id="u1")).items[0].data, Profile)
    assert_type((await chats.list_logs("s", owner_id="u1")).unwrap(), tuple[str, ...])
    assert_type((await chats.pop_items("s", 2)).items, tuple[Item[Profile], ...])
    assert_type(await chats.replace_items("s", [], after=5, expected_position=7), SessionResult[None, Profile])
    assert_type(await chats.replace_items("s", [], unchanged_since=appended), SessionResult[None, Profile])
    assert_type(appended.item_count, int | None)
    assert_type(await chats.replace_item("s", 1, me), SessionResult[None, Profile])
    assert_type((await chats.trim_items("s", 5)).unwrap(), int)
    assert_type(await chats.fork_session("s", until=5), SessionResult[Chat, Profile])
    await chats.append_items("s", [text])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await chats.append_items("s", me)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await chats.update_session("s", changed_in_place, append=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


async def items_without_a_type_are_json(chats: SessionManager[Chat]) -> None:
    await chats.append_items("s", [{"role": "user", "content": ["hello", 1, None]}, "text", None])
    result = await chats.get_session("s", last_items=5)
    assert_type(result, SessionResult[Chat])
    assert_type(result.items, tuple[Item[JsonValue], ...])
    adapted = SessionManager(new_basket, state_type=Basket, item_type=TypeAdapter(Chat))
    assert_type(adapted, SessionManager[Basket, Chat])
    only_items = SessionManager(new_document, item_type=Profile)
    assert_type(only_items, SessionManager[dict[str, JsonValue], Profile])


async def sessions_are_listed_by_pages(chats: SessionManager[Chat]) -> None:
    page = await chats.list_sessions(owner_id="u1", prefix="a", limit=10, order="recent", states=True)
    assert_type(page, SessionPage[Chat])
    assert_type(page.sessions, tuple[SessionInfo[Chat], ...])
    assert_type(page.next, str | None)
    assert_type(page.sessions[0].state, Chat | None)
    assert_type(page.sessions[0].item_count, int)
    assert_type(page.sessions[0].metadata, SessionMetadata)
    await chats.list_sessions(after=page.next)
    await chats.list_sessions(order="newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def results_and_metadata_are_frozen(result: SessionResult[Chat], metadata: SessionMetadata) -> None:
    assert_type(metadata.created_at, datetime)
    assert_type(metadata.expires_at, datetime | None)
    assert_type(metadata.ttl, timedelta | None)
    assert_type(metadata.origin, dict[str, JsonValue] | None)
    assert_type(metadata.owner_id, str | None)
    result.data = {"turns": []}  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    metadata.ttl = None  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def every_call_on_an_orchestration_gives_its_state_or_none(storage: StorageProvider) -> None:
    states = OrchestrationStateManager(storage, ttl=timedelta(hours=1))
    assert_type(await states.get_or_create_state(), OrchestrationState)
    assert_type(await states.get_state("s"), OrchestrationState | None)
    assert_type(await states.update_state("s", sequence_index=2), OrchestrationState | None)
    assert_type(await states.set_active_step("s", None), OrchestrationState | None)
    assert_type(await states.add_used_tool("s", "search"), OrchestrationState | None)
    assert_type(await states.advance_sequence("s"), OrchestrationState | None)
    assert_type(await states.add_token_usage("s", prompt_tokens=1, completion_tokens=2), OrchestrationState | None)
    assert_type(await states.reset_state("s"), OrchestrationState | None)
    assert_type(await states.cleanup_session("s"), OrchestrationState | None)
    await states.add_token_usage("s", 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def an_orchestration_state_is_typed(state: OrchestrationState) -> None:
    assert_type(state.session_id, str)
    assert_type(state.active_step, str | None)
    assert_type(state.recently_used_tools, list[str])
    assert_type(state.sequence_index, int)
    assert_type(state.last_accessed, datetime)
    assert_type(state.cumulative_token_usage.total_tokens, int)


async def storages_are_opened_by_url_or_on_an_engine(engine: AsyncEngine) -> None:
    assert_type(open_storage(), StorageProvider)
    async with open_storage("memory://", clock=lambda: datetime.now(UTC)) as storage:
        assert_type(storage, StorageProvider)
    providers: list[StorageProvider] = [MemoryStorageProvider(), SqlStorageProvider(engine, schema="chat")]
    register_storage("memory2", lambda url, **options: providers[len(url) % 2])
    SqlStorageProvider("postgresql://db")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def a_reaper_reports(storage: StorageProvider, show: Callable[[ReapProgress], None]) -> None:
    reaper = Reaper(storage, batch_size=100, grace=timedelta(days=1))
    report = await reaper.run_once(dry_run=False, time_budget=timedelta(seconds=5), on_batch=show)
    assert_type(report, ReapReport)
    assert_type(report.deleted, int)
    assert_type(report.batches, int)
    assert_type(report.duration, timedelta)
    assert_type(report.remaining, int)
    async with reaper.every(timedelta(minutes=1)):
        pass


def errors_carry_what_a_program_needs(
    conflict: SessionConflictError,
    invalid: InvalidStateError,
    too_large: StateTooLargeError,
    corrupt: CorruptStateError,
    schema: SchemaError,
    missing: ItemNotFoundError,
) -> None:
    assert_type((corrupt.found, corrupt.known), tuple[int | None, int | None])
    assert_type((conflict.expected, conflict.actual), tuple[int, int])
    assert_type((invalid.path, corrupt.path), tuple[str, str])
    assert_type((too_large.size, too_large.limit), tuple[int, int])
    assert_type((missing.item_id, missing.position), tuple[str | None, int | None])
    assert_type((schema.found, schema.wanted), tuple[str | None, str])
    every: list[SessionStoreError] = [conflict, invalid, too_large, corrupt, schema, missing]
    as_values: list[ValueError] = [invalid, too_large, corrupt]
    as_values.append(conflict)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    every.clear()
