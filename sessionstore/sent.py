"""Whether something was sent to a storage that may have been written."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class Sent:
    """What is known of a call that writes: may something of it have been written?

    Attributes:
        maybe: Whether it may have been. A storage that says nothing may write at any time.
    """

    __slots__ = ("maybe",)

    def __init__(self) -> None:
        self.maybe = True


@contextmanager
def noting(sent: Sent) -> Generator[None]:
    """Lets the storage note in this what becomes of what is written here."""
    before = _SENT.set(sent)
    try:
        yield
    finally:
        _SENT.reset(before)


def note(*, maybe: bool) -> None:
    """For storages: notes whether something of the call that runs here may have been written.

    Args:
        maybe: False: nothing was sent yet, or what was sent is known not to have been written. True: it is being sent.
    """
    sent = _SENT.get()
    if sent is not None:
        sent.maybe = maybe


_SENT: Final[ContextVar[Sent | None]] = ContextVar("sessionstore.sent", default=None)
