"""Whether something was sent to a storage that may have been written."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Sent:
    """What is known of a call that writes."""

    __slots__ = ("_maybe",)

    def __init__(self) -> None:
        self._maybe: bool | None = None

    def written(self) -> bool:
        """Whether something may have been written. A storage that says nothing may write at any time."""
        return self._maybe is not False

    def begin(self) -> None:
        """For storages that say when they send: nothing was sent yet, unless it was said before."""
        if self._maybe is None:
            self._maybe = False

    def send(self) -> None:
        """From now on something may be written."""
        self._maybe = True

    def refuse(self) -> None:
        """All that was sent is known not to have been written."""
        self._maybe = False


class SentTogether(Sent):
    """What is known of a write that several calls share: each call is told what becomes of it.

    Args:
        each: What is known of each call.
    """

    __slots__ = ("_each",)

    def __init__(self, each: Iterable[Sent]) -> None:
        super().__init__()
        self._each = list(each)

    def begin(self) -> None:
        for sent in self._each:
            sent.begin()

    def send(self) -> None:
        for sent in self._each:
            sent.send()

    def refuse(self) -> None:
        for sent in self._each:
            sent.refuse()


@contextmanager
def noting(sent: Sent) -> Generator[None]:
    """Lets the storage note in this what becomes of what is written here."""
    before = _SENT.set(sent)
    try:
        yield
    finally:
        _SENT.reset(before)


def noted() -> Sent | None:
    """Where to note what becomes of what is written here; None: nobody asks."""
    return _SENT.get()


def nothing_written() -> None:
    """For storages: all that the call sent that runs here is known not to have been written."""
    sent = _SENT.get()
    if sent is not None:
        sent.refuse()


_SENT: Final[ContextVar[Sent | None]] = ContextVar("sessionstore.concurrency.sent", default=None)
