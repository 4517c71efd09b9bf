"""States that are models, dataclasses or typed dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict

from sessionstore import CorruptStateError, SessionManager, SessionState, StorageProvider

from ...support.documents import draft, key
from ..given import Managed


class Mood(Enum):
    CALM = "calm"
    BUSY = "busy"


class Turn(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    speaker: Literal["user", "agent"]
    said: str = Field(alias="utterance")
    at: datetime


class ChatModel(SessionState):
    # With extra="forbid", a stored computed field could not be read back.
    model_config = ConfigDict(extra="forbid")

    turns: list[Turn] = Field(default_factory=list)
    started: datetime = datetime(2031, 7, 15, 9, 26, 53, 589793, tzinfo=UTC)
    mood: Mood = Mood.CALM
    price: Decimal = Decimal("1.50")
    seen: set[int] = Field(default_factory=lambda: {3, 1, 2})
    by_day: dict[date, timedelta] = Field(default_factory=lambda: {date(2031, 7, 15): timedelta(seconds=1.5)})
    key: UUID = UUID(int=7)
    pair: tuple[int, str] = (1, "a")
    ratio: float = 1.0
    raw: bytes = b"raw"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.turns)


@dataclass
class ChatRecord:
    session_id: str
    turns: list[str] = field(default_factory=list)
    started: datetime | None = None


class ChatDict(TypedDict):
    session_id: str
    turns: list[str]
    started: datetime | None


NOON = datetime(2031, 7, 15, 12, 0, 0, 1, tzinfo=UTC)
NEW: dict[str, tuple[Any, Any, Any]] = {
    "model": (
        ChatModel,
        lambda session_id: ChatModel(session_id=session_id),
        lambda: Turn(speaker="user", utterance="hello", at=NOON),
    ),
    "dataclass": (ChatRecord, lambda session_id: ChatRecord(session_id, started=NOON), lambda: "hello"),
    "typed dict": (
        ChatDict,
        lambda session_id: ChatDict(session_id=session_id, turns=[], started=NOON),
        lambda: "hello",
    ),
}


def turns_of(state: Any) -> Any:
    return state["turns"] if isinstance(state, dict) else state.turns


@pytest.mark.parametrize(("state_type", "new", "turn"), list(NEW.values()), ids=list(NEW))
async def test_a_typed_state_comes_back_as_it_was(managed: Managed, state_type: Any, new: Any, turn: Any) -> None:
    chats = managed(default_state=new, state_type=state_type)
    assert (await chats.create_session("s")).unwrap() == new("s")
    assert (await chats.get_session("s")).unwrap() == new("s")
    expected = new("s")
    turns_of(expected).append(turn())
    updated = await chats.update_session("s", lambda state: turns_of(state).append(turn()))
    assert updated.unwrap() == expected
    read = (await chats.get_session("s")).unwrap()
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(("state_type", "new", "turn"), list(NEW.values()), ids=list(NEW))
async def test_an_update_may_return_another_typed_state(managed: Managed, state_type: Any, new: Any, turn: Any) -> None:
    chats = managed(default_state=new, state_type=state_type)
    await chats.create_session("s")
    other = new("other")
    turns_of(other).append(turn())
    assert (await chats.update_session("s", lambda _: other)).unwrap() == other
    assert (await chats.get_session("s")).unwrap() == other


async def test_each_caller_gets_a_typed_state_of_its_own(managed: Managed) -> None:
    chats: SessionManager[ChatRecord] = managed(default_state=ChatRecord, state_type=ChatRecord)
    made = (await chats.create_session("s")).unwrap()
    made.turns.append("only mine")
    kept = ChatRecord("s")
    updated = (await chats.update_session("s", lambda _: kept)).unwrap()
    assert updated is not kept
    kept.turns.append("later")
    assert (await chats.get_session("s")).unwrap() == ChatRecord("s")


class Counter(BaseModel):
    n: int
    inner: dict[str, list[int]] = {}


UNFIT = {"$.n": '{"n":"s3cret"}', "$.inner.a[1]": '{"n":1,"inner":{"a":[1,"s3cret"]}}', "$": '["s3cret"]'}


@pytest.mark.parametrize(("place", "stored"), list(UNFIT.items()), ids=list(UNFIT))
async def test_a_stored_state_that_does_not_fit_the_type_is_an_error_and_stays(
    managed: Managed, storage: StorageProvider, place: str, stored: str
) -> None:
    await storage.create(draft(state=stored))
    before = await storage.get(key(), touch=False)
    counters = managed(default_state=lambda _: Counter(n=0), state_type=Counter)
    calls: list[Counter] = []
    for failed in (
        await counters.get_session("s"),
        await counters.create_session("s"),
        await counters.update_session("s", calls.append),
    ):
        assert isinstance(failed.error, CorruptStateError)
        assert failed.error.path == place
        assert "s3cret" not in str(failed.error)
        assert (failed.success, failed.data, failed.created) == (False, None, False)
    assert calls == []
    assert await storage.get(key(), touch=False) == before


async def test_a_session_that_does_not_fit_the_type_can_be_deleted(managed: Managed, storage: StorageProvider) -> None:
    await storage.create(draft(state='{"n":"x"}'))
    counters = managed(default_state=lambda _: Counter(n=0), state_type=Counter)
    assert (await counters.delete_session("s")).unwrap() is True
