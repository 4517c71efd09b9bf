"""Sent: records whether a call has sent a write to the storage, for callers whose timeout is over."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final


class Outdated(Exception):
    """A write was not sent, because one of its callers has given up and was told that nothing is written.

    The other callers make another write.
    """


class Sent:
    """Whether a call has sent a write."""

    __slots__ = ("_given_up", "_open")

    def __init__(self) -> None:
        self._open: int | None = None
        self._given_up = False

    def written(self) -> bool:
        """Whether something may have been written. True for a storage that does not report its writes.

        A caller asks when it gives up. If the answer is False, nothing of the call is sent from then on.
        """
        self._given_up = self._open == 0
        return not self._given_up

    @property
    def given_up(self) -> bool:
        """Whether a caller was told that nothing is written."""
        return self._given_up

    def begin(self) -> None:
        """Declares that this storage reports its writes. Before the first report, nothing counts as sent."""
        if self._open is None:
            self._open = 0

    def send(self) -> None:
        """Reports a write: from now on something may be written.

        Raises:
            Outdated: A caller was told that nothing is written. The write must not be sent.
        """
        if self.given_up:
            raise Outdated
        self._open = (self._open or 0) + 1

    def take_back(self) -> None:
        """Reports that the database refused the last write."""
        if self._open:
            self._open -= 1

    def refuse(self) -> None:
        """Reports that the call has written nothing."""
        self._open = 0


class SentTogether(Sent):
    """Records a write that several calls share, in the record of each call.

    Args:
        each: The records of the calls.
    """

    __slots__ = ("_each",)

    def __init__(self, each: Iterable[Sent]) -> None:
        super().__init__()
        self._each = list(each)

    def begin(self) -> None:
        for sent in self._each:
            sent.begin()

    @property
    def given_up(self) -> bool:
        return any(sent.given_up for sent in self._each)

    def send(self) -> None:
        if self.given_up:
            raise Outdated
        for sent in self._each:
            sent.send()

    def take_back(self) -> None:
        for sent in self._each:
            sent.take_back()

    def refuse(self) -> None:
        for sent in self._each:
            sent.refuse()


@contextmanager
def noting(sent: Sent) -> Generator[None]:
    """Lets the storage report the writes of this context to ``sent``."""
    before = _SENT.set(sent)
    try:
        yield
    finally:
        with suppress(ValueError):  # the loop of the call was closed, and the call is freed in another context
            _SENT.reset(before)


def noted() -> Sent | None:
    """Returns the object to which the storage reports the writes of this context; None: there is none."""
    return _SENT.get()


def nothing_written() -> None:
    """Is called by a storage. Reports that the current call has written nothing."""
    sent = _SENT.get()
    if sent is not None:
        sent.refuse()


_SENT: Final[ContextVar[Sent | None]] = ContextVar("sessionstore.concurrency.sent", default=None)
