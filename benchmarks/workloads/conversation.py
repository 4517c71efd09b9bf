"""Conversations that grow: appends and turns, their cost by length, and the reaper."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..bench import Bench
from ..conversations import reaping
from ..conversations.conversations import MESSAGE_BYTES, WINDOW
from ..conversations.playing import GROW_SECONDS, JOBS, Company, Cost, Costs, appends, turns
from ..figures import NONE, turns_table
from ..report import Plot, Section, Table

_LENGTHS = (10, 100, 1_000)
_NAN = float("nan")


async def run(bench: Bench) -> Section:
    """Everybody who keeps conversations appends and takes turns, by one caller and by many, and by length."""
    lengths = [length for length in _LENGTHS if length < bench.options.sizes.longest_conversation]
    lengths.append(bench.options.sizes.longest_conversation)
    company = Company(bench)
    try:
        await company.gather()
        tables = []
        for job in JOBS:
            results = await company.play(job)
            tables.append(
                turns_table(
                    bench, results, job.callers, title=job.title, unit="calls/s", writes=True, of=company.keepers
                )
            )
        holes = await company.holes()
        appended = await company.measure(appends, lengths)
        conversed = await company.measure(turns, lengths)
        names = list(company.keepers)
    finally:
        company.close()
    tables += [
        _by_length("one message appended, by the length of the conversation", appended, names, lengths),
        _by_length("a turn, by the length of the conversation", conversed, names, lengths),
        await reaping.table(bench),
    ]
    text = (
        f"A conversation is a log of messages of {MESSAGE_BYTES:,} bytes and a small state. A turn reads the state and "
        f"the newest {WINDOW} messages, then writes the state and two messages. Lost are messages that callers were "
        "told had been written and that are not in the log. In the conversations of the library, "
        f"{holes} positions are missing. By length, one caller calls; log is the write-ahead log that the server wrote "
        "a call, without full-page images; processor is the time of the client's processor. The last three columns are "
        "in times of the shortest conversation, by the round; there a turn reads what there is, and only from "
        f"{WINDOW} messages on as many as in the longer ones. Who cannot make conversations of a length in "
        f"{GROW_SECONDS:.0f} seconds has no figures for it. The reaper deletes sessions and their items, in batches of "
        "5,000 rows of both; a session is deleted at once, however long."
    )
    return Section("Conversations", text, tables, [_plot(conversed, names, lengths)])


def _by_length(title: str, costs: Costs, names: Sequence[str], lengths: Sequence[int]) -> Table:
    rows = []
    for name in names:
        for length in lengths:
            cost = costs.get((name, length))
            if cost is None:
                rows.append([name, f"{length:,}", *[NONE] * 6])
                continue
            first = costs[name, lengths[0]]
            rows.append([name, f"{length:,}", *_figures(cost), *_times(cost, first)])
    columns = ["contestant", "messages", "ms", "log KiB", "processor ms", "x ms", "x log", "x processor"]
    return Table(title, columns, rows)


def _figures(cost: Cost) -> Sequence[str]:
    return [
        f"{median(cost.times) * 1000:.2f}",
        f"{median(cost.log) / 1024:,.2f}",
        f"{median(cost.processor) * 1000:.2f}",
    ]


def _times(cost: Cost, first: Cost) -> Sequence[str]:
    pairs = ((cost.times, first.times), (cost.log, first.log), (cost.processor, first.processor))
    return [f"{median(a / b if b else _NAN for a, b in zip(now, then, strict=True)):.2f}" for now, then in pairs]


def _plot(costs: Costs, names: Sequence[str], lengths: Sequence[int]) -> Plot:
    series = {
        name: [median(costs[name, length].times) * 1000 if (name, length) in costs else _NAN for length in lengths]
        for name in names
    }
    return Plot(
        "conversation-turn",
        "Conversations: cost of a turn by length",
        "milliseconds a turn",
        [f"{length:,}" for length in lengths],
        series,
        lines=True,
        logarithmic=True,
        along="messages in the conversation",
    )
