"""What writers were told, what the database has, and the difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

State: TypeAlias = dict[str, Any]
Numbers: TypeAlias = defaultdict[tuple[str, str], set[int]]
"""By session and writer: which of the writer's updates of the session."""


def new_state(session_id: str) -> State:
    return {"session": session_id, "marks": {}, "twice": []}


def leave_mark(state: State, writer: str, number: int) -> None:
    """Notes an update in the state, or that it was there already. Marks are kept as runs, so states stay small."""
    runs: list[list[int]] = state["marks"].setdefault(writer, [])
    if any(first <= number <= last for first, last in reversed(runs)):
        state["twice"].append(f"{writer}-{number}")
    elif runs and runs[-1][1] == number - 1:
        runs[-1][1] = number
    else:
        runs.append([number, number])


class Way(Enum):
    """How a call writes: it changes the state, appends items, or does both at once."""

    STATE = 0
    ITEMS = 1
    BOTH = 2

    @classmethod
    def of(cls, number: int) -> Way:
        """The way of a writer's call with this number."""
        return cls(number % len(cls))


ITEMS: Final = 3
"""How many items a call appends."""


def items_of(writer: str, number: int) -> list[list[Any]]:
    """The items that a call appends."""
    return [[writer, number, part] for part in range(ITEMS)]


class Found(NamedTuple):
    """A session as it is at the end.

    Attributes:
        state: The state.
        versions: How many versions it is away from its creation.
        items: The positions and data of the items, in order. Empty: the writers of this fault append none.
    """

    state: State
    versions: int
    items: Sequence[tuple[int, list[Any]]] = ()

    def numbers(self, writer: str) -> set[int]:
        marked = {n for first, last in self.state["marks"].get(writer, ()) for n in range(first, last + 1)}
        return marked | {number for _, (name, number, _) in self.items if name == writer}

    def faults(self, unknown: Callable[[str], Collection[int]]) -> Iterator[str]:
        """What is wrong with the items.

        Args:
            unknown: Which calls of a writer nobody was told of. They may land after its later calls.
        """
        positions = [position for position, _ in self.items]
        if positions != [*range(1, len(positions) + 1)]:
            yield "the positions have holes"
        calls = [tuple(data[:2]) for _, data in self.items[::ITEMS]]
        if [data for _, data in self.items] != [item for writer, number in calls for item in items_of(writer, number)]:
            yield "an append is torn"
        for writer in {writer for writer, _ in calls}:
            numbers = [number for name, number in calls if name == writer]
            if len(set(numbers)) < len(numbers):
                yield f"appends of {writer} are there twice"
            in_time = [number for number in numbers if number not in unknown(writer)]
            if in_time != sorted(in_time):
                bad = [(a, b) for a, b in pairwise(in_time) if a > b]
                yield f"appends of {writer} are out of order: {bad}"
            marked = {n for first, last in self.state["marks"].get(writer, ()) for n in range(first, last + 1)}
            if any(Way.of(number) is Way.BOTH and number not in marked for number in numbers):
                yield f"items of {writer} landed without their state"
            if any(Way.of(number) is Way.BOTH and number not in numbers for number in marked):
                yield f"a state of {writer} landed without its items"

    def total(self) -> int:
        return sum(last - first + 1 for runs in self.state["marks"].values() for first, last in runs)


@dataclass
class Log:
    """What writers were told of their updates.

    Attributes:
        acknowledged: The call returned success.
        unknown: It raised UpdateOutcomeUnknownError, or nobody was there any more to be told.
        refused: It raised StorageUnavailableError, which says that nothing was written.
        unexpected: Whatever else came of a call; there should be nothing.
    """

    acknowledged: Numbers = field(default_factory=lambda: defaultdict(set))
    unknown: Numbers = field(default_factory=lambda: defaultdict(set))
    refused: Numbers = field(default_factory=lambda: defaultdict(set))
    unexpected: list[str] = field(default_factory=list)

    def note(self, line: str) -> bool:
        """Notes what a process said of an update, in the words of client.py; returns whether it landed."""
        word, session, writer, number, *more = line.split(maxsplit=4)
        if word == "try":
            self.unknown[session, writer].add(int(number))
            return False
        told = {"landed": self.acknowledged, "refused": self.refused}
        if word in told:
            self.unknown[session, writer].discard(int(number))
            told[word][session, writer].add(int(number))
        self.unexpected += more
        return word == "landed"


@dataclass
class Row:
    """A line of the table: what came of one fault.

    Attributes:
        fault: Which.
        times: How often it happened.
        acknowledged: Updates of which the caller was told that they landed.
        lost: Of these, how many are not there.
        doubled: Updates that are there twice.
        unknown: Updates of which the caller was told that it cannot be told.
        refused: Updates of which the caller was told that nothing was written.
        refused_there: Of these, how many are there.
        slowest: The longest that it took, in seconds, until all writers had an update acknowledged that they began when
            the fault was over.
        wrong: What else should not have been.
    """

    fault: str
    times: int
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    refused: int = 0
    refused_there: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def none_refused(self) -> Row:
        """Where a fault is to cost no call, one that was refused is wrong."""
        if self.refused:
            self.wrong.append(f"{self.refused} calls were refused")
        return self

    def complaints(self) -> list[str]:
        """Everything for which the library has to answer."""
        counts = {"lost": self.lost, "doubled": self.doubled, "refused, but there": self.refused_there}
        return [f"{self.fault}: {count} {what}" for what, count in counts.items() if count] + [
            f"{self.fault}: {wrong}" for wrong in self.wrong
        ]


def together(rows: Iterable[Row]) -> Row:
    """One row for what was done in several ways."""
    first, *others = rows
    for row in others:
        first.times += row.times
        first.acknowledged += row.acknowledged
        first.lost += row.lost
        first.doubled += row.doubled
        first.unknown += row.unknown
        first.refused += row.refused
        first.refused_there += row.refused_there
        first.slowest = max(first.slowest, row.slowest)
        first.wrong += row.wrong
    return first


def reckon(fault: str, times: int, log: Log, found: dict[str, Found], *, slowest: float = 0.0) -> Row:
    """Compares what was told with what is there."""
    row = Row(fault, times, slowest=slowest, wrong=list(log.unexpected))
    for acknowledged, there in _beside(log.acknowledged, found):
        row.acknowledged += len(acknowledged)
        row.lost += len(acknowledged - there)
    for refused, there in _beside(log.refused, found):
        row.refused += len(refused)
        row.refused_there += len(refused & there)
    row.unknown = sum(map(len, log.unknown.values()))
    for session, end in found.items():
        row.doubled += len(end.state["twice"])
        count = end.total() + len(end.state["twice"])
        if end.items:
            row.wrong += [f"{session}: {it}" for it in end.faults(partial(_unknown, log, session))]
        if count != end.versions:
            row.wrong.append(f"{session} has {count} updates in its state and {end.versions} in its version")
    return row


def _unknown(log: Log, session: str, writer: str) -> Collection[int]:
    return log.unknown[session, writer]


def _beside(told: Numbers, found: dict[str, Found]) -> Iterator[tuple[set[int], set[int]]]:
    for (session, writer), numbers in told.items():
        yield numbers, found[session].numbers(writer) if session in found else set()


_COLUMNS = ("fault", "times", "acknowledged", "lost", "doubled", "unknown", "refused", "refused, but there", "slowest")


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown, in columns that also line up as they are."""
    cells: list[tuple[str, ...]] = [_COLUMNS]
    for row in rows:
        counts = (row.times, row.acknowledged, row.lost, row.doubled, row.unknown, row.refused, row.refused_there)
        cells.append((row.fault, *(f"{count:,}" for count in counts), f"{row.slowest:.1f} s"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in cells
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in [lines[0], rule, *lines[1:]])
