"""Contended: updates of sessions whose rows other transactions hold or write all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ..concurrency.call import copy_of, spawn, tell
from ..concurrency.deadline import while_wanted
from ..concurrency.halves import divisible
from ..concurrency.pace import SLICE
from ..concurrency.sent import Outdated, Sent, noting
from ..errors import SessionHeldError, SessionStoreError, StorageUnavailableError, UpdateOutcomeUnknownError, shown_id
from ..storage import Document, Key, StorageProvider, Write
from .fold import Fold
from .rounds import CANCELLED, Rounds, beaten, left_open
from .shares import parts
from .tries import Tries
from .waiting import LONGEST_PAUSE, Entry, first_of_each, known_refused

_BOUND: Final = 30.0
"""For how many seconds an update waits for a row that another transaction holds."""

_NOT_WAITED: Final = "the task that waited for the row was cancelled, and nothing was written; try again"


class Contended:
    """Writes updates as soon as their rows are free, without delaying other updates.

    All waiting updates of an event loop are tried together, with backoff. Between two tries they use no connection, and
    do not count as a batch. An update that lost OPTIMISTIC_ROUNDS times takes the row lock, behind which waiters queue,
    so that the update does not starve. One such transaction is under way at a time, and waits for a second at most. If
    the lock was not free in this time, the lock is not tried again until another caller has written the row.

    Args:
        storage: Where the documents are.
        release: Is called with the key of a session when none of its updates waits any more.
    """

    def __init__(self, storage: StorageProvider, release: Callable[[Key], None]) -> None:
        self.rounds: Rounds
        self._storage = storage
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._entries: list[Entry] = []
        self._keys: set[Key] = set()
        self._poller: asyncio.Task[None] | None = None
        self._locker: asyncio.Task[None] | None = None
        self._tries = Tries(self._loop, self._tried)
        self._alarm: asyncio.Future[None] | None = None

    def holds(self, key: Key) -> bool:
        """Whether updates of the session wait here."""
        return key in self._keys

    def add(self, folds: Iterable[Fold]) -> None:
        """Takes updates over. Updates of a session stay in order."""
        now = self._loop.time()
        for fold in folds:
            self._entries.append(Entry(fold, now))
            self._keys.add(fold.key)
        if self._poller is None:
            try:
                self._poller = self._start(self._poll, self._polled)
            except SessionStoreError as error:
                self._abandon(error)
                return
            if self._poller.done():  # an eager task may end before it is returned
                self._poller = None
        self._wake()

    def _start(
        self, make: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[asyncio.Task[None]], None]
    ) -> asyncio.Task[None]:
        # A callback notices the end: a task that is cancelled before its first step runs no code of its coroutine.
        task = spawn(self._loop, make)
        task.add_done_callback(ended)
        return task

    def _abandon(self, error: SessionStoreError) -> None:
        """Answers the waiting updates with an error, and releases their sessions. The locking task answers its own."""
        for entry in self._entries:
            if not entry.locking:
                self._cut_off([entry])
                tell(entry.fold.calls, error)
        self._clear_away()

    def _cut_off(self, entries: Iterable[Entry]) -> None:
        """Answers the calls whose write may have landed. They must not be retried: an update could land twice."""
        for entry in entries:
            for call in entry.fold.open:
                if call.request.written():
                    call.answer(UpdateOutcomeUnknownError(CANCELLED))

    def _wake(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _poll(self) -> None:
        while self._entries:
            self._clear_away()
            self._lock_some()
            now = self._loop.time()
            heads = first_of_each(self._entries)
            due = [entry for entry in heads if entry.due <= now]
            if due:
                await self._tries.run(self._attempt(self._try(due), due), due)
            elif heads or self._entries:
                await self._sleep(min((entry.due for entry in heads), default=now + LONGEST_PAUSE) - now)
        self._poller = None

    def _tried(self, entries: Iterable[Entry], cancelled: bool) -> None:
        self._cut_off(entries if cancelled else ())
        self._wake()

    def _polled(self, task: asyncio.Task[None]) -> None:
        """Answers the waiting updates if the polling task was cancelled."""
        if task is self._poller:
            self._poller = None
            if not self._loop.is_closed():
                self._abandon(StorageUnavailableError(_NOT_WAITED))

    async def _sleep(self, seconds: float) -> None:
        self._alarm = self._loop.create_future()
        timer = self._loop.call_later(max(seconds, 0), self._wake)
        try:
            await self._alarm
        finally:
            timer.cancel()
            self._alarm = None

    def _clear_away(self) -> None:
        """Removes entries whose calls are answered or cancelled, or that waited too long; releases their sessions."""
        now = self._loop.time()
        for entry in self._entries:
            if now - entry.since >= _BOUND and not (entry.locking or entry.trying):
                self._give_up(entry)
        self._entries = [entry for entry in self._entries if entry.locking or entry.fold.waiting]
        keys = {entry.fold.key for entry in self._entries}
        gone, self._keys = self._keys - keys, keys
        for key in gone:
            self._release(key)

    def _give_up(self, entry: Entry) -> None:
        fold = entry.fold
        if fold.unsettled:
            fold.give_up()
            return
        error = StorageUnavailableError(
            f"another transaction holds the row of session {shown_id(fold.key.session_id)}; the update waited "
            f"{_BOUND:g} s, and nothing was written; end that transaction (pg_locks shows it), then try again"
        )
        for call in fold.calls:
            call.answer(copy_of(error))

    async def _attempt(self, running: Coroutine[Any, Any, None], entries: Sequence[Entry]) -> None:
        """Runs a try. Cancels the try once no caller waits for it, because later updates of the sessions wait."""
        if not await while_wanted(running, lambda: any(entry.fold.waiting for entry in entries), LONGEST_PAUSE):
            self._cut_off(entries)

    async def _try(self, entries: Sequence[Entry]) -> None:
        alone = [[entry] for entry in entries if entry.single]
        together = [entry for entry in entries if not entry.single]
        for group in ([together] if together else []) + alone:
            try:
                await self._round(group)
            except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
                self._refused(group, error)

    async def _round(self, entries: Sequence[Entry]) -> None:
        documents = await self.rounds.read([entry.fold for entry in entries])
        writing: dict[int, Entry] = {}
        for entry, document in zip(entries, documents, strict=True):
            fold = entry.fold
            if document is None:
                fold.missing()
                continue
            if fold.fits(document):
                entry.moving = False
            else:
                entry.hurry(self._loop.time())
                if not await self.rounds.landing.applied(fold, document):
                    continue
            writing[id(fold)] = entry
        for part in parts([entry.fold for entry in writing.values()]):
            lost = await self.rounds.landing.land(part)
            now = self._loop.time()
            for fold in lost:
                writing[id(fold)].rest(now)

    def _refused(self, entries: Sequence[Entry], error: Exception) -> None:
        """After a refusal, tries the entries one by one. An update that is refused alone gets the error."""
        now = self._loop.time()
        if not divisible(error):
            left_open([entry.fold for entry in entries], error)
            for entry in entries:
                entry.rest(now)
            return
        for entry in entries:
            entry.single = True
        if len(entries) > 1:
            return
        (entry,) = entries
        if entry not in self._entries:
            return  # all its callers have stopped waiting
        if entry.fold.unsettled:
            entry.fold.give_up()
        elif entry.fold.asked == 1:
            tell(entry.fold.calls, error)
        else:
            at = self._entries.index(entry)
            alone = [Entry(Fold(entry.fold.key, [call], entry.since), now) for call in entry.fold.open]
            for new in alone:
                new.since, new.locks, new.fold.losses = entry.since, 1, entry.fold.losses
            self._entries[at : at + 1] = alone

    def _lock_some(self) -> None:
        if self._locker is not None:
            return
        ready = [entry for entry in first_of_each(self._entries) if beaten(entry.fold) and entry.locks < 2]
        together = [entry for entry in ready if not (entry.locks or entry.single)]
        # Rows that other callers write come first: their lock is soon free. A wait for a held row takes a second.
        chosen = together or sorted(ready, key=lambda entry: not entry.moving)[:1]
        if not chosen:
            return
        try:
            self._locker = self._start(partial(self._lock, chosen), partial(self._unlocked, chosen))
        except SessionStoreError as error:
            tell([call for entry in chosen for call in entry.fold.calls], error)
            self._clear_away()
            return
        for entry in chosen:
            entry.locking = True

    def _unlocked(self, entries: Iterable[Entry], task: asyncio.Task[None]) -> None:
        self._locker = None
        if self._loop.is_closed():
            return
        if task.cancelled():
            self._cut_off(entries)
        for entry in entries:
            entry.locking = False
        if self._poller is None:
            self._abandon(StorageUnavailableError(_NOT_WAITED))
        else:
            self._wake()

    async def _lock(self, entries: Sequence[Entry]) -> None:
        """Does updates under row locks."""
        try:
            await self._attempt(self._locked(entries), entries)
        except SessionHeldError:
            now = self._loop.time()
            for entry in entries:
                entry.fold.refused()
                entry.moving = False
                entry.locks = 2 if len(entries) == 1 else 1
                entry.due = now
        except Outdated:  # nothing was sent, because a caller gave up; the updates of the others are tried again
            for entry in entries:
                entry.fold.refused()
                entry.due = self._loop.time()
        except UpdateOutcomeUnknownError as error:
            for entry in entries:
                entry.fold.lose(error)
        except Exception as error:  # noqa: BLE001  # any error is the answer of the callers
            if refused := known_refused(entries, error, self._loop.time()):
                self._refused(refused, error)

    async def _locked(self, entries: Sequence[Entry]) -> None:
        by_key = {entry.fold.key: entry for entry in entries}
        seen: set[Key] = set()
        sent = Sent()
        # The functions run one after the other under the locks, for one slice of time. The rest runs in the next try.
        end: float | None = None

        def in_time() -> bool:
            nonlocal end
            now = self._loop.time()
            first, end = end is None, now + SLICE if end is None else end
            return first or now <= end  # the first function always runs

        def apply(document: Document) -> Write | None:
            key = document.summary.key
            seen.add(key)
            if seen != {key} and not in_time():
                return None
            return by_key[key].fold.apply_to_write(document, in_time, sent)

        with noting(sent):
            summaries = await self._storage.update_locked_many(list(by_key), apply)
        for entry, summary in zip(entries, summaries, strict=True):
            if summary is not None:
                self.rounds.landing.landed(entry.fold, summary)
                entry.locks = 0
            elif entry.fold.key not in seen:
                entry.fold.missing()
