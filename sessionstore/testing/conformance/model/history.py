"""What concurrent calls came to, and whether calls made one at a time could have come to it.

A session's state is who it was born as and a log, to which every update appends a token of its own. So whoever sees a
state, be it in a result or inside a function that then raises, tells which updates had landed and in which order. That
makes the check simple: nothing has to be searched for, each answer names its place in the sequence (Wing and Gong,
"Testing and Verifying Concurrent Objects", 1993, is the problem in general).
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
    """A state that a call saw: of which incarnation, after which updates, and at which version if that was told."""

    born: int
    log: tuple[int, ...]
    version: int | None

    @classmethod
    def of(cls, state: Chat, version: int | None) -> Seen:
        return cls(state["born"], tuple(state["log"]), version)


class End(Enum):
    """What became of a call."""

    DONE = auto()
    REFUSED = auto()
    ABSENT = auto()
    UNKNOWN = auto()
    CANCELLED = auto()

    @property
    def open(self) -> bool:
        """Whether the call may have changed the session, or not."""
        return self in (End.UNKNOWN, End.CANCELLED)


@dataclass(eq=False)
class Call:
    """A call, from when it was made until it was over.

    Attributes:
        queue: Among which calls it kept its place; None: it went for itself.
        token: What it would append.
        key: Its idempotency key.
        poisonous: Whether the storage refuses what it makes.
        begun: When it began; None: it never did.
        ended: When it was answered, as its caller saw it.
        ran: When its function ran last.
        refused: Whether the storage refused it, as it refuses what is poisonous.
        expected: The version that it would write on.
        actual: The version that it was told instead.
        seen: The state that it saw or made.
        wrote: Whether it was told that it changed the session.
        gone: Whether it was told of a moment without the session, other than by not finding it.
        items: The items that it was told of.
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
        """Whether it was told that it appended its token."""
        return self.wrote and self.kind == "update"

    @property
    def changed(self) -> bool:
        """Whether it may have changed the session."""
        return self.wrote or (self.end is not None and self.end.open)

    def before(self, other: Call) -> bool:
        """Whether it was over before the other began."""
        return self.ended is not None and other.begun is not None and self.ended < other.begun


@dataclass
class History:
    """All calls on one session, in the order in which they were made."""

    calls: list[Call] = field(default_factory=list)

    def check(self, now: Seen | None) -> None:
        """Raises AssertionError where no sequence of the calls explains what they came to, and what is there now."""
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
        """Of the updates with one key, a session has had one; who was told so sees that one."""
        keys = {call.token: call.key for call in self.calls if call.key is not None}
        for log in logs.values():
            for key, times in Counter(keys[token] for token in log if token in keys).items():
                assert times == 1, f"updates with the key {key} were applied {times} times"
        for call in self.calls:
            if call.key is not None and call.end is End.DONE and not call.wrote and call.seen:
                assert call.key in {keys.get(token) for token in call.seen.log}, f"{call} was told of no other"

    def _check_order(self) -> None:
        """Updates of one session through one storage keep the order in which they were made."""
        updates = [call for call in self.calls if call.updated and call.queue is not None]
        for first, second in combinations(updates, 2):
            if first.queue == second.queue and first.seen and second.seen and first.seen.born == second.seen.born:
                assert len(first.seen.log) < len(second.seen.log), f"{second} overtook {first}"

    def _place_conflicts(self, logs: dict[int, tuple[int, ...]], bases: dict[int, int], now: Seen | None) -> None:
        """A conflict tells a version, and that is as good as the state that was there at it."""
        for call in self.calls:
            if call.actual is None:
                continue
            for born, base in bases.items():
                place = call.actual - base
                if 0 <= place <= len(logs[born]):
                    call.seen = Seen(born, logs[born][:place], call.actual)
                elif now is not None and now.born == born:
                    assert not 0 <= place < 1000, f"{call} was told a version that was never reached"

    def _check_time(self) -> None:
        """Who begins after another ended sees at least what that one saw, and writes behind it."""
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
        assert not late, f"{late} saw {old} after it had given way to {new} for {second}, and {first} saw it before"

    def _check_absence(self) -> None:
        """Nobody finds a session again that was gone meanwhile."""
        for gone in self.calls:
            if not (gone.gone or gone.end is End.ABSENT):
                continue
            before = {call.seen.born for call in self.calls if call.seen and call.before(gone)}
            for call in self.calls:
                if call.seen and gone.before(call) and call is not gone:
                    assert call.seen.born not in before, f"{call} found what {gone} had found gone"

    def _check_deletions(self, now: Seen | None) -> None:
        deleted = sum(call.kind == "delete" and call.wrote for call in self.calls)
        made = sum(call.kind == "create" and call.changed for call in self.calls)
        assert deleted + (now is not None) <= made, "more sessions were deleted than there were"

    def _check_ends(self, logs: dict[int, tuple[int, ...]], now: Seen | None) -> None:
        """Every session that is gone was deleted or has expired, and no deletion ends two."""
        ended = len(logs) - (now is not None)
        ends = sum(call.kind == "expire" or (call.kind == "delete" and call.changed) for call in self.calls)
        assert ended <= ends, "a session is gone that nobody deleted"


def _check_call(call: Call) -> None:
    assert call.end is not None, f"{call} was dropped"
    if call.ended is not None:
        assert call.ran < call.ended, f"the function of {call} ran when nobody waited for it any more"
    assert call.poisonous or not call.refused, f"{call} was refused for another"
    if call.actual is not None:
        assert call.actual != call.expected, f"{call} was refused at the version that it expected"
    if call.wrote and call.kind == "create":
        assert call.seen is not None
        assert not call.seen.log
    elif call.updated:
        assert call.seen is not None
        assert call.seen.log[-1] == call.token, f"{call} was given another's state"
        assert call.expected is None or call.seen.version == call.expected + 1, f"{call} wrote on another version"


def _logs(seen: Sequence[Seen]) -> dict[int, tuple[int, ...]]:
    """The whole log of each incarnation, of which every one that was seen is a beginning."""
    logs: dict[int, tuple[int, ...]] = {}
    for born, log, _ in seen:
        logs[born] = max(logs.get(born, ()), log, key=len)
    for born, log, _ in seen:
        assert logs[born][: len(log)] == log, f"{log} was seen, and {logs[born]} after it"
    return logs


def _bases(seen: Sequence[Seen]) -> dict[int, int]:
    """The version at which each incarnation began: the one that was seen, less the updates before it."""
    bases: dict[int, int] = {}
    for born, log, version in seen:
        if version is not None:
            assert bases.setdefault(born, version - len(log)) == version - len(log), f"version {version} at {log}"
    assert len(set(bases.values())) == len(bases), "two incarnations began at one version"
    return bases
