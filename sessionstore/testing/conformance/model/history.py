"""Histories of concurrent calls, and whether calls made one at a time could have had the same results.

A session's state is the number of its incarnation and a log. Every update appends a token of its own to the log. So any
state that a call saw, in its result or inside a function that then raised, tells which updates had landed and in which
order. The check needs no search, because each result names its place in the sequence. For the problem in general, see
Wing and Gong, "Testing and Verifying Concurrent Objects", 1993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import combinations
from typing import Any, NamedTuple

from sessionstore import Item

from ...support.documents import Chat


class Seen(NamedTuple):
    """A state that a call saw: its incarnation, the updates before it, and its version if the call learned it."""

    born: int
    log: tuple[int, ...]
    version: int | None

    @classmethod
    def of(cls, state: Chat, version: int | None) -> Seen:
        return cls(state["born"], tuple(state["log"]), version)


class End(Enum):
    """The outcome of a call."""

    DONE = auto()
    REFUSED = auto()
    ABSENT = auto()
    UNKNOWN = auto()
    CANCELLED = auto()

    @property
    def open(self) -> bool:
        """Whether it is open if the call changed the session."""
        return self in (End.UNKNOWN, End.CANCELLED)


@dataclass(eq=False)
class Call:
    """A call, and its outcome.

    Attributes:
        queue: The storage that keeps the order of its calls; None: the storage sends each call alone.
        token: The token that the call appends.
        key: The idempotency key of the call.
        poisonous: Whether the storage refuses the state that the call makes.
        begun: When the call began; None: the call never began.
        ended: When the caller got the answer.
        ran: When the function of the call ran last.
        refused: Whether the storage refused the state of the call, as it refuses a poisonous one.
        expected: The version that the call expects.
        actual: The version that a conflict named.
        seen: The state that the call saw or made.
        wrote: Whether the result says that the call changed the session.
        gone: Whether the call itself ended the session or created it, so that there was a moment without the session.
        items: The items in the result.
    """

    kind: str
    queue: int | None
    token: int
    key: str | None = None
    poisonous: bool = False
    begun: int | None = None
    ended: int | None = None
    ran: int = -1
    refused: bool = False
    expected: int | None = None
    end: End | None = None
    actual: int | None = None
    seen: Seen | None = None
    wrote: bool = False
    gone: bool = False
    items: Sequence[Item[Any]] = ()

    @property
    def updated(self) -> bool:
        """Whether the result says that the token was appended."""
        return self.wrote and self.kind == "update"

    @property
    def changed(self) -> bool:
        """Whether the call may have changed the session."""
        return self.wrote or (self.end is not None and self.end.open)

    def before(self, other: Call) -> bool:
        """Whether this call ended before the other call began."""
        return self.ended is not None and other.begun is not None and self.ended < other.begun


@dataclass
class History:
    """All calls on one session, in the order in which they were made."""

    calls: list[Call] = field(default_factory=list)

    def check(self, now: Seen | None) -> None:
        """Raises AssertionError if no sequence of the calls explains their results and the state that is stored now."""
        seen = [call.seen for call in self.calls if call.seen is not None]
        logs = _logs([*seen, *([now] if now else [])])
        bases = _bases([*seen, *([now] if now else [])])
        if now is not None:
            assert logs[now.born] == now.log, "an update that was seen is gone"
        for call in self.calls:
            _check_call(call)
        self._check_tokens(logs)
        self._check_keys(logs)
        self._check_order()
        self._place_conflicts(logs, bases, now)
        self._check_time()
        self._check_absence()
        self._check_deletions(now)
        self._check_ends(logs, now)

    def _check_tokens(self, logs: dict[int, tuple[int, ...]]) -> None:
        landed = Counter(token for log in logs.values() for token in log)
        known = {call.token: call for call in self.calls}
        for token, times in landed.items():
            assert times == 1, f"update {token} was applied {times} times"
            assert known[token].changed, f"{known[token]} did not fail"
            assert known[token].begun is not None, f"{known[token]} was cancelled before it began"
        for call in self.calls:
            if call.updated:
                assert landed[call.token] == 1, f"{call} was lost"

    def _check_keys(self, logs: dict[int, tuple[int, ...]]) -> None:
        """Checks that each key was applied once, and that a call that was passed over saw the update with its key."""
        keys = {call.token: call.key for call in self.calls if call.key is not None}
        for log in logs.values():
            for key, times in Counter(keys[token] for token in log if token in keys).items():
                assert times == 1, f"updates with the key {key} were applied {times} times"
        for call in self.calls:
            if call.key is not None and call.end is End.DONE and not call.wrote and call.seen:
                assert call.key in {keys.get(token) for token in call.seen.log}, (
                    f"{call} was passed over, and no other call had its key"
                )

    def _check_order(self) -> None:
        """Checks that updates of one session through one storage keep the order in which they were made."""
        updates = [call for call in self.calls if call.updated and call.queue is not None]
        for first, second in combinations(updates, 2):
            if first.queue == second.queue and first.seen and second.seen and first.seen.born == second.seen.born:
                assert len(first.seen.log) < len(second.seen.log), f"{second} overtook {first}"

    def _place_conflicts(self, logs: dict[int, tuple[int, ...]], bases: dict[int, int], now: Seen | None) -> None:
        """Notes the state that each conflict met. The version in the conflict tells which state was stored."""
        for call in self.calls:
            if call.actual is None:
                continue
            for born, base in bases.items():
                place = call.actual - base
                if 0 <= place <= len(logs[born]):
                    call.seen = Seen(born, logs[born][:place], call.actual)
                elif now is not None and now.born == born:
                    assert not 0 <= place < 1000, f"{call} was told a version that the session never had"

    def _check_time(self) -> None:
        """Checks that a call sees at least the updates that were seen by the calls which ended before it began."""
        for first in self.calls:
            for second in self.calls:
                if first.seen and second.seen and first.before(second):
                    if first.seen.born == second.seen.born:
                        missing = len(first.seen.log) - len(second.seen.log)
                        assert missing < 0 if second.wrote else missing <= 0, (first, second)
                    else:
                        self._check_replaced(first.seen.born, second.seen.born, first, second)

    def _check_replaced(self, old: int, new: int, first: Call, second: Call) -> None:
        late = [call for call in self.calls if call.seen and call.seen.born == old and second.before(call)]
        assert not late, (
            f"{first} saw incarnation {old}, then {second} saw incarnation {new}, and then {late} saw {old} again"
        )

    def _check_absence(self) -> None:
        """Checks that no call sees an incarnation that an earlier call found gone."""
        for gone in self.calls:
            if not (gone.gone or gone.end is End.ABSENT):
                continue
            before = {call.seen.born for call in self.calls if call.seen and call.before(gone)}
            for call in self.calls:
                if call.seen and gone.before(call) and call is not gone:
                    assert call.seen.born not in before, f"{call} saw an incarnation that {gone} had found gone"

    def _check_deletions(self, now: Seen | None) -> None:
        deleted = sum(call.kind == "delete" and call.wrote for call in self.calls)
        made = sum(call.kind == "create" and call.changed for call in self.calls)
        assert deleted + (now is not None) <= made, "more sessions were deleted than there were"

    def _check_ends(self, logs: dict[int, tuple[int, ...]], now: Seen | None) -> None:
        """Checks that a deletion or an expiry ended each incarnation that is gone, and that none ended two."""
        ended = len(logs) - (now is not None)
        ends = sum(call.kind == "expire" or (call.kind == "delete" and call.changed) for call in self.calls)
        assert ended <= ends, "a session is gone that was not deleted and has not expired"


def _check_call(call: Call) -> None:
    assert call.end is not None, f"{call} was never answered"
    if call.ended is not None:
        assert call.ran < call.ended, f"the function of {call} ran after its caller had the answer"
    assert call.poisonous or not call.refused, f"{call} was refused because of another call"
    if call.actual is not None:
        assert call.actual != call.expected, f"{call} was refused at the version that it expected"
    if call.wrote and call.kind == "create":
        assert call.seen is not None
        assert not call.seen.log
    elif call.updated:
        assert call.seen is not None
        assert call.seen.log[-1] == call.token, f"{call} got the state of another call"
        assert call.expected is None or call.seen.version == call.expected + 1, f"{call} wrote on another version"


def _logs(seen: Sequence[Seen]) -> dict[int, tuple[int, ...]]:
    """Returns the longest log of each incarnation. Every log that was seen has to be a prefix of it."""
    logs: dict[int, tuple[int, ...]] = {}
    for born, log, _ in seen:
        logs[born] = max(logs.get(born, ()), log, key=len)
    for born, log, _ in seen:
        assert logs[born][: len(log)] == log, f"{log} was seen, and is no prefix of {logs[born]}"
    return logs


def _bases(seen: Sequence[Seen]) -> dict[int, int]:
    """Returns the first version of each incarnation: a version that was seen, minus the number of updates before it."""
    bases: dict[int, int] = {}
    for born, log, version in seen:
        if version is not None:
            assert bases.setdefault(born, version - len(log)) == version - len(log), (
                f"version {version} does not fit the log {log}"
            )
    assert len(set(bases.values())) == len(bases), "two incarnations began at one version"
    return bases
