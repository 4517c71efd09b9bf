"""What an error must not tell."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from sessionstore import SchemaError, SessionManager, SessionStoreError, StorageProvider
from sessionstore.testing.support.documents import Chat

from .bystander import PASSWORD

SECRET = "cf9f1d0b-of-the-conversation"
"""A part of every state that meets a fault."""

E = TypeVar("E", bound=SessionStoreError)


def secretive(storage: StorageProvider) -> SessionManager[Chat]:
    """A manager whose states nobody but their owner may see."""
    return SessionManager(lambda _: {"said": SECRET}, storage, namespace="chat")


def say_more(state: Chat) -> Chat:
    """An update, for secretive sessions."""
    return {"said": state["said"] + SECRET}


async def refusal(error: type[E], call: Callable[[], Awaitable[Any]]) -> E:
    """The error that the call raises, which is of exactly this class and tells nothing that it must not."""
    with pytest.raises(error) as raised:
        await call()
    assert type(raised.value) is error
    assert_discreet(raised.value)
    return raised.value


def assert_discreet(error: SessionStoreError) -> None:
    """Neither the message nor anything that a log would show with it holds a state, a password or a URL."""
    said = everything_said(error)
    assert SECRET not in said
    assert PASSWORD not in said
    assert "://" not in str(error)
    assert "127.0.0.1" not in str(error)
    # Whoever waited in vain for a connection met no driver.
    assert error.__cause__ is not None or isinstance(error, SchemaError) or "pool_size" in str(error)


def everything_said(error: BaseException) -> str:
    """All that can be read off an error and those that it came from, by whoever logs it or looks at its attributes."""
    said = ["".join(traceback.format_exception(error))]
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
        said += [str(each), repr(each), repr(each.args)]
        for name in dir(each):
            with suppress(ValueError):  # of SQLAlchemy, where an error came from no other one
                said += [] if name.startswith("__") else [f"{name}={getattr(each, name, None)!r}"]
        diag = getattr(each, "diag", None)
        said += [f"{name}={getattr(diag, name, None)!r}" for name in dir(diag) if not name.startswith("_")]
    return "\n".join(said)
