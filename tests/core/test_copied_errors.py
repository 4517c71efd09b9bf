"""Errors are copied and pickled with their class, text and attributes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    InvalidSessionIdError,
    InvalidStateError,
    SchemaError,
    SessionConflictError,
    SessionStoreError,
    StorageError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
)
from sessionstore.concurrency.call import copy_of
from sessionstore.errors import SessionHeldError
from tests.core.quoting import about


class Refund(SessionConflictError):
    """An error of a service, with parameters and fields of its own."""

    def __new__(cls, amount: int, **_: object) -> Refund:
        return super().__new__(cls, amount)

    def __init__(self, amount: int, *, reason: str) -> None:
        super().__init__("s", expected=1, actual=2)
        self.amount = amount
        self.reason = reason


class Slotted(StorageError):
    __slots__ = ("shard",)

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard} is away", code="08006")
        self.shard = shard


class Unreachable(StorageError, ConnectionError):
    """An error of a service that is an OSError too."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is away")
        self.host = host


EVERY_ERROR: list[SessionStoreError] = [
    *about("s"),
    *about("x" * 81),
    SessionStoreError("a", 1),
    SessionStoreError(),
    ConfigurationError("ttl must be positive"),
    InvalidSessionIdError(lambda: None, "must be a string"),
    InvalidSessionIdError(type("Folded", (str,), {})("a\n"), "must hold no control characters"),
    InvalidStateError("is bad", path="$.a"),
    StorageError("failed", code="40001"),
    StorageUnavailableError("away", code="08006"),
    SessionHeldError("held"),
    UpdateOutcomeUnknownError("unknown"),
    SchemaError("old", found="0001", wanted="0002"),
    Refund(5, reason="late"),
    Slotted(3),
    Unreachable("db1"),
]


def fields(error: SessionStoreError) -> dict[str, object]:
    return {**vars(error), **{name: getattr(error, name) for name in getattr(error, "__slots__", ())}}


COPIED: dict[str, Callable[[SessionStoreError], Any]] = {
    **{
        f"pickle {protocol}": partial(lambda protocol, it: pickle.loads(pickle.dumps(it, protocol)), protocol)  # noqa: S301
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy_of": copy_of,
}


@pytest.mark.parametrize("copied", COPIED.values(), ids=list(COPIED))
@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: type(error).__name__)
def test_a_copied_or_pickled_error_keeps_its_class_text_and_attributes(
    error: SessionStoreError, copied: Callable[[SessionStoreError], SessionStoreError]
) -> None:
    error.add_note("while closing the day")
    other = copied(error)
    assert type(other) is type(error)
    assert other is not error
    assert (str(other), other.args, repr(other)) == (str(error), error.args, repr(error))
    assert fields(other) == fields(error)
    again = copied(other)
    assert (str(again), fields(again)) == (str(error), fields(error))


def test_a_copy_of_an_error_keeps_its_cause() -> None:
    error = StorageError("failed")
    error.__cause__ = OSError("broken")
    other = copy_of(error)
    assert (other.__cause__, other.__suppress_context__) == (error.__cause__, True)
