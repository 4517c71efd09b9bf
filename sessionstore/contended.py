"""Updates of sessions whose rows others hold, or write all the time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from .call import spawn, tell, twin
from .errors import (
    SessionHeldError,
    SessionStoreError,
    StorageUnavailableError,
    UpdateOutcomeUnknownError,
    shown_id,
)
from .fold import Fold
from .halves import divisible
from .pace import SLICE
from .rounds import Rounds, beaten, left_open, parts
from .sent import Sent, noting
from .storage import Document, Key, StorageProvider, Write

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_REST: Final = 4
"""How many times as long as it tries it rests at least: what is tried again and again may be heavy."""
_BOUND: Final = 30.0
"""For how many seconds a row is waited for that another transaction holds."""


class _Entry:
    """Updates of a session that wait for its row.

    Attributes:
        fold: The updates.
        since: Since when they wait.
        due: When they are tried next.
        pause: How long they rest then.
        moving: Whether others write the session, for all that is known; else somebody holds its row.
        locks: How often its row could not be locked: 1 after it was tried with others, 2 by itself.
        locking: Whether that is being tried now.
        single: Whether it is tried by itself, because it was refused among others.
    """

    __slots__ = ("due", "fold", "locking", "locks", "moving", "pause", "since", "single")

    def __init__(self, fold: Fold, now: float) -> None:
        self.fold = fold
        self.since = now
        self.pause = _FIRST_PAUSE
        self.due = now + random.uniform(0, _FIRST_PAUSE)  # noqa: S311  # spreads processes, no secret
        self.moving = True
        self.locks = 0
        self.locking = False
        self.single = fold.halved_until is not None

    def rest(self, now: float) -> None:
        """Puts the next trial off, each time for longer."""
        self.due = now + self.pause * random.uniform(0.5, 1)  # noqa: S311
        self.pause = min(2 * self.pause, _LONGEST_PAUSE)

    def hurry(self, now: float) -> None:
        """Notes that somebody else wrote: the row is free at times."""
        self.moving = True
        self.pause = _FIRST_PAUSE
        self.due = now
        self.locks = min(self.locks, 1)


class Contended:
    """Writes updates whose rows others hold as soon as they are free, and holds up nobody else.

    All of an event loop are tried together, in pauses that grow: none of them keeps a place among the batches or a
    connection. Who has lost OPTIMISTIC_ROUNDS takes the row lock, behind which waiters queue, so that nobody starves;
    one such call is under way at a time, and it waits for a second at most. A row that could not be locked then is not
    waited for in the queue again until somebody wrote it.

    Args:
        storage: Where the documents are.
        release: Is told the key of a session when the last of its updates is over.
    """

    def __init__(self, storage: StorageProvider, release: Callable[[Key], None]) -> None:
        self.rounds: Rounds
        self._storage = storage
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._entries: list[_Entry] = []
        self._keys: set[Key] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._polling = self._locking = False
        self._alarm: asyncio.Future[None] | None = None

    def holds(self, key: Key) -> bool:
        """Whether updates of the session are here."""
        return key in self._keys

    def add(self, folds: Iterable[Fold]) -> None:
        """Takes updates over. Those of a session go in the order in which they came."""
        now = self._loop.time()
        for fold in folds:
            self._entries.append(_Entry(fold, now))
            self._keys.add(fold.key)
        if not self._polling:
            self._polling = True
            self._start(self._poll())
        self._wake()

    def _start(self, running: Coroutine[Any, Any, None]) -> None:
        try:
            task = spawn(self._loop, running)
        except SessionStoreError as error:
            self._polling = False
            for entry in self._entries:
                tell(entry.fold.calls, error)
            self._clear_away()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(None)

    async def _poll(self) -> None:
        try:
            while self._entries:
                self._clear_away()
                self._lock_some()
                now = self._loop.time()
                heads = self._heads()
                due = [entry for entry in heads if entry.due <= now]
                if due:
                    await self._try(due)
                    spent = self._loop.time() - now
                    for entry in due:
                        entry.due = max(entry.due, now + _REST * spent)
                elif heads or self._entries:
                    await self._sleep(min((entry.due for entry in heads), default=now + _LONGEST_PAUSE) - now)
        finally:
            self._polling = False
            if not self._loop.is_closed():
                for entry in self._entries:
                    tell(entry.fold.calls, StorageUnavailableError("the task that waited for the row was cancelled"))
                self._clear_away()

    def _heads(self) -> list[_Entry]:
        """Of each session the updates that came first, unless they are being locked."""
        first: dict[Key, _Entry] = {}
        for entry in self._entries:
            first.setdefault(entry.fold.key, entry)
        return [entry for entry in first.values() if not entry.locking]

    async def _sleep(self, seconds: float) -> None:
        self._alarm = self._loop.create_future()
        timer = self._loop.call_later(max(seconds, 0), self._wake)
        try:
            await self._alarm
        finally:
            timer.cancel()
            self._alarm = None

    def _clear_away(self) -> None:
        """Lets go of those who have their answers, whose callers are gone, or who waited for too long."""
        now = self._loop.time()
        for entry in self._entries:
            if now - entry.since >= _BOUND and not entry.locking:
                self._give_up(entry)
        self._entries = [entry for entry in self._entries if entry.locking or entry.fold.waiting]
        keys = {entry.fold.key for entry in self._entries}
        gone, self._keys = self._keys - keys, keys
        for key in gone:
            self._release(key)

    def _give_up(self, entry: _Entry) -> None:
        fold = entry.fold
        if fold.unsettled:
            fold.give_up()
            return
        error = StorageUnavailableError(
            f"another transaction holds the row of session {shown_id(fold.key.session_id)}: it was waited for "
            f"{_BOUND:g} s, and nothing was written; find out who holds the row, then try again"
        )
        for call in fold.calls:
            call.answer(twin(error))

    async def _try(self, entries: Sequence[_Entry]) -> None:
        alone = [[entry] for entry in entries if entry.single]
        together = [entry for entry in entries if not entry.single]
        for group in ([together] if together else []) + alone:
            try:
                await self._round(group)
            except Exception as error:  # noqa: BLE001  # whatever it is, those who called are told
                self._refused(group, error)

    async def _round(self, entries: Sequence[_Entry]) -> None:
        documents = await self.rounds.read([entry.fold for entry in entries])
        writing: dict[int, _Entry] = {}
        for entry, document in zip(entries, documents, strict=True):
            fold = entry.fold
            if document is None:
                fold.missing()
                continue
            if fold.fits(document):
                entry.moving = False
            else:
                entry.hurry(self._loop.time())
                if not await self.rounds.applied(fold, document):
                    continue
            writing[id(fold)] = entry
        for part in parts([entry.fold for entry in writing.values()]):
            lost = await self.rounds.land(part)
            now = self._loop.time()
            for fold in lost:
                writing[id(fold)].rest(now)

    def _refused(self, entries: Sequence[_Entry], error: Exception) -> None:
        """What was refused together is tried one by one; who is refused alone is told."""
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
        if entry.fold.unsettled:
            entry.fold.give_up()
        elif len(entry.fold.open) == 1:
            tell(entry.fold.calls, error)
        else:
            at = self._entries.index(entry)
            alone = [_Entry(Fold(entry.fold.key, [call], entry.since), now) for call in entry.fold.open]
            for it in alone:
                it.since, it.locks, it.fold.losses = entry.since, 1, entry.fold.losses
            self._entries[at : at + 1] = alone

    def _lock_some(self) -> None:
        if self._locking:
            return
        ready = [entry for entry in self._heads() if beaten(entry.fold) and entry.locks < 2]
        together = [entry for entry in ready if not (entry.locks or entry.single)]
        # Whose row others write gets the lock soon; who waits in vain waits for a second.
        chosen = together or sorted(ready, key=lambda entry: not entry.moving)[:1]
        if not chosen:
            return
        for entry in chosen:
            entry.locking = True
        self._locking = True
        self._start(self._lock(chosen))

    async def _lock(self, entries: Sequence[_Entry]) -> None:
        """Does them under row locks."""
        try:
            await self._locked(entries)
        except SessionHeldError:
            now = self._loop.time()
            for entry in entries:
                entry.fold.refused()
                entry.moving = False
                entry.locks = 2 if len(entries) == 1 else 1
                entry.due = now
        except UpdateOutcomeUnknownError as error:
            for entry in entries:
                entry.fold.lose(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who called are told
            for entry in entries:
                entry.fold.refused()
            self._refused(entries, error)
        finally:
            self._locking = False
            for entry in entries:
                entry.locking = False
            self._wake()

    async def _locked(self, entries: Sequence[_Entry]) -> None:
        by_key = {entry.fold.key: entry for entry in entries}
        seen: set[Key] = set()
        sent = Sent()
        # The functions run one after the other under the locks. Those whom the time does not suffice for come next.
        end: float | None = None

        def in_time() -> bool:
            nonlocal end
            now = self._loop.time()
            if end is None:  # the first one runs in any case
                end = now + SLICE
                return True
            return now <= end

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
                self.rounds.landed(entry.fold, summary)
                entry.locks = 0
            elif entry.fold.key not in seen:
                entry.fold.missing()
