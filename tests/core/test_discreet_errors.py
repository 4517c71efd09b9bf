"""Errors of states never quote the state."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer, field_validator

from sessionstore import CorruptStateError, InvalidStateError, SessionManager, SessionStoreError, StorageProvider
from sessionstore.testing.support.documents import draft

SECRET = "s3cret"


class Tainted:
    """An object whose str() and repr() show the secret."""

    def __repr__(self) -> str:
        return SECRET


class Typed(BaseModel):
    n: int = 0
    body: Any = None
    checked: str = ""
    dumped: str = ""

    @field_validator("checked")
    @classmethod
    def _check(cls, value: str) -> str:
        if value:
            raise ValueError(f"cannot be {value}")
        return value

    @field_serializer("dumped")
    def _dump(self, value: str) -> str:
        if value:
            raise KeyError(value)
        return value


@dataclass
class Plain:
    body: Any = None


BAD: dict[str, tuple[Any, Any]] = {
    "NaN beside": ({"a": SECRET, "b": float("nan")}, None),
    "NUL": ({"a": f"{SECRET}\0"}, None),
    "surrogate": ({"a": f"{SECRET}\ud800"}, None),
    "bytes": ({"a": SECRET.encode()}, None),
    "object": ({"a": Tainted()}, None),
    "error": ({"a": ValueError(SECRET)}, None),
    "too large": ({"a": SECRET * 100}, None),
    "no object": (Tainted(), None),
    "typed NUL": (Typed(body=f"{SECRET}\0"), Typed),
    "typed NaN beside": (Typed(body=[SECRET, float("nan")]), Typed),
    "typed object": (Typed(body=[Tainted()]), Typed),
    "typed bytes": (Typed(body=SECRET.encode() + b"\xff"), Typed),
    "typed too large": (Typed(body=SECRET * 100), Typed),
    "field of another type": (Typed.model_construct(n=SECRET), Typed),
    "field against its validator": (Typed.model_construct(checked=SECRET), Typed),
    "field whose serializer fails": (Typed(dumped=SECRET), Typed),
    "another type": (SECRET, Typed),
    "dataclass with an object": (Plain(Tainted()), Plain),
}
CORRUPT: dict[str, tuple[str, Any]] = {
    "no JSON": (f'{{"a":"{SECRET}', None),
    "no JSON, typed": (f'{{"a":"{SECRET}', Typed),
    "another type": (f'{{"n":"{SECRET}"}}', Typed),
    "against its validator": (f'{{"checked":"{SECRET}"}}', Typed),
    "no object": (f'"{SECRET}"', Typed),
}


def assert_discreet(error: SessionStoreError | None) -> None:
    assert isinstance(error, InvalidStateError)
    assert "'s'" in str(error)
    assert SECRET not in str(error) + repr(error) + repr(vars(error))
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(("state", "state_type"), list(BAD.values()), ids=list(BAD))
async def test_the_refusal_of_a_state_names_the_session_and_never_quotes_the_state(
    storage: StorageProvider, state: Any, state_type: Any
) -> None:
    manager = SessionManager(lambda _: state, storage, state_type=state_type, max_state_bytes=200)
    assert_discreet((await manager.create_session("s")).error)
    blank: Any = state_type() if state_type else {}
    await SessionManager(lambda _: blank, storage, state_type=state_type).create_session("s")
    assert_discreet((await manager.update_session("s", lambda _: state)).error)


@pytest.mark.parametrize(("stored", "state_type"), list(CORRUPT.values()), ids=list(CORRUPT))
async def test_the_error_of_a_corrupt_state_names_the_session_and_never_quotes_the_state(
    storage: StorageProvider, stored: str, state_type: Any
) -> None:
    await storage.create(draft(state=stored))
    manager: SessionManager[Any] = SessionManager(lambda _: {}, storage, "chat", state_type=state_type)
    for failed in (await manager.get_session("s"), await manager.update_session("s", lambda state: state)):
        assert isinstance(failed.error, CorruptStateError)
        assert_discreet(failed.error)
        assert "`sessionstore show`" in str(failed.error)
