"""The benchmarks run and report what they have to; how fast anything was is not looked at."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rich.console import Console

from benchmarks import contestants
from benchmarks.bench import Bench
from benchmarks.contestant import Contestant, Task
from benchmarks.driving import drive
from benchmarks.options import Options
from benchmarks.processes import Job, Processes
from benchmarks.states import STATE_BYTES, Change, SessionIds, State, change, make_state
from benchmarks.workloads import fleet, get
from sessionstore.codec.jsontext import dumps
from sessionstore.testing.postgres import URL_VARIABLE, Database, PostgresServer

ROOT = Path(__file__).parents[2]

SECTIONS = [
    "The run",
    "The contestants",
    "Read, modify, write",
    "Read",
    "Conversations",
    "Contended",
    "Held rows",
    "Several processes",
    "Fleet",
    "Threads",
    "HOT updates",
    "Growth",
    "Reaper",
    "Migration",
    "Client memory",
]


@pytest.fixture(scope="module")
def report(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a very short run of everything that needs no other package writes."""
    directory = tmp_path_factory.mktemp("report")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--contestants", "sessionstore,psycopg", "--rounds", "1"),
            *("--seconds", "0.05", "--scale", "0.01", "--report", str(directory)),
        ],
        cwd=ROOT,
        env=os.environ | {URL_VARIABLE: server.url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (directory / "benchmarks.md").read_text(encoding="utf-8")


def tables(report: str, section: str) -> list[list[dict[str, str]]]:
    """The tables of a section, as rows by column."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", report, re.MULTILINE | re.DOTALL)
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        found.append([dict(zip(columns, row, strict=True)) for row in rows])
    return found


def test_the_extra_of_the_benchmarks_installs_what_they_import() -> None:
    program = "import sys; begun = {*sys.modules}; import benchmarks.command; print(*{*sys.modules} - begun)"
    imported = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True)
    packages = packages_distributions()
    modules = {module.partition(".")[0] for module in imported.stdout.split()}
    needed = {canonicalize_name(package) for module in modules for package in packages.get(module, ())}
    assert needed - installed_with(Requirement("sessionstore[bench]"), {}) == set()


def installed_with(wanted: Requirement, seen: dict[str, set[str]]) -> set[str]:
    """The packages that come with a requirement, as far as they are here."""
    name = canonicalize_name(wanted.name)
    extras = {"", *wanted.extras} - seen.setdefault(name, set())
    seen[name] |= extras
    with suppress(PackageNotFoundError):
        for line in (requires(name) or ()) if extras else ():
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                installed_with(needed, seen)
    return set(seen)


def test_every_workload_has_its_section_and_every_section_a_table(report: str) -> None:
    assert re.findall(r"^## (.*)$", report, re.MULTILINE) == SECTIONS
    assert [section for section in SECTIONS if not all(tables(report, section))] == []


def test_the_report_says_what_it_was_measured_on(report: str) -> None:
    (rows,) = tables(report, "The run")
    facts = {row[""]: row["this run"] for row in rows}
    assert {"Date", "Command", "Processor", "Memory", "Python", "PostgreSQL", "Packages"} <= facts.keys()
    assert "fsync = " in facts["Its settings"]
    assert re.match(r"lz4$|pglz\b", facts["It compresses states with"])


@pytest.mark.parametrize("section", ["Read, modify, write", "Contended", "Fleet"])
def test_neither_the_library_nor_raw_sql_loses_an_update(report: str, section: str) -> None:
    rows = [row for table in tables(report, section) for row in table]
    assert {row["contestant"] for row in rows} == {"sessionstore", "psycopg"}
    assert [row for row in rows if (row["lost"], row["errors"]) != ("0", "0")] == []


def test_conversations_lose_no_message_and_have_no_holes(report: str) -> None:
    *played, by_length, turns, reaped = tables(report, "Conversations")
    rows = [row for table in played for row in table]
    assert {row["contestant"] for row in rows} == {"sessionstore", "sessionstore-document", "psycopg"}
    assert [row for row in rows if (row["lost"], row["errors"]) != ("0", "0")] == []
    assert "0 positions are missing" in report
    assert {row["messages"] for row in by_length} == {row["messages"] for row in turns} == {"10", "100", "200"}
    assert [row for row in [*by_length, *turns] if "-" in row.values()] == []
    assert len(reaped) == 3


def test_updates_of_held_sessions_land_when_their_rows_are_free_and_none_is_lost(report: str) -> None:
    (rows,) = tables(report, "Held rows")
    assert [row["rows held"] for row in rows] == ["0", "1", "8", "50"]
    assert [row for row in rows if (row["lost"], row["errors"]) != ("0", "0")] == []
    assert [row for row in rows if row["updates that landed"] == "0"] == []


def test_each_case_of_a_fleet_is_compared_with_a_raw_pool_in_each_process(report: str) -> None:
    found = tables(report, "Fleet")
    assert len(found) == len(fleet.CASES) == 3
    assert [[row["x psycopg"] for row in rows if row["contestant"] == "psycopg"] for rows in found] == [["1.00"]] * 3


def test_updates_are_heap_only_unless_the_expiry_moves_each_time(report: str) -> None:
    ((library, moving, seldom),) = tables(report, "HOT updates")
    assert library["updates"] == moving["updates"] == seldom["updates"] == "200"
    assert int(library["HOT"].split()[0]) > 100
    assert int(library["HOT"].split()[0]) > int(seldom["HOT"].split()[0])
    assert moving["HOT"] == "0"


def test_a_state_is_two_kilobytes_and_a_change_keeps_its_size() -> None:
    ids = SessionIds(10)
    assert [len(dumps(make_state(session))) for session in ids] == [STATE_BYTES] * 10
    assert make_state(ids[3]) == make_state(ids[3]) != make_state(ids[4])
    state = make_state(ids[0])
    assert (len(dumps(change(state))), state["n"]) == (STATE_BYTES, 1)


class Careless(Contestant):
    """Writes over what another wrote since it looked."""

    def __init__(self) -> None:
        super().__init__(Database(""))
        self.state: State = {}

    async def open(self) -> None:
        pass

    async def load(self, sessions: Sequence[str]) -> None:
        self.state = make_state(sessions[0])

    async def get(self, session: str) -> State:
        return self.state

    async def read_modify_write(self, session: str, change: Change) -> None:
        state = dict(await self.get(session))
        await asyncio.sleep(0)
        self.state = change(state)


async def test_lost_updates_are_found() -> None:
    careless = Careless()
    await careless.load(SessionIds(1))
    alone = await careless.turn(Task.INCREMENT, SessionIds(1), callers=1, seconds=0.01, warm_up=0)
    assert (alone.operations > 0, alone.lost) == (True, 0)
    before = careless.state["n"]
    together = await careless.turn(Task.INCREMENT, SessionIds(1), callers=4, seconds=0.01, warm_up=0)
    assert together.lost == together.operations - (careless.state["n"] - before)
    assert together.lost


async def test_callers_with_different_numbers_choose_different_sessions() -> None:
    async def chosen(first: int) -> list[str]:
        calls: list[str] = []

        async def call(session: str) -> None:
            calls.append(session)

        await drive(lambda: len(calls) < 20, call, SessionIds(1_000), callers=2, first=first)
        return calls

    assert await chosen(0) == await chosen(0) != await chosen(1_000)


async def test_an_error_in_one_of_several_processes_is_reported_and_keeps_no_other_waiting() -> None:
    with Processes(2) as processes, pytest.raises(KeyError, match="nobody"):
        await processes.update(Job("nobody", Database(""), SessionIds(1), callers=1, seconds=60))


_WITHOUT_A_PEER = [name for name, where in contestants.CONTESTANTS.items() if where.startswith(("library", "raw_"))]


@pytest.mark.parametrize("name", _WITHOUT_A_PEER)
async def test_every_contestant_without_an_extra_package_makes_no_errors(server: PostgresServer, name: str) -> None:
    with server.fresh_database() as database:
        contestant = contestants.contestant_class(name)(database)
        await contestant.setup()
        await contestant.open()
        try:
            sessions = SessionIds(1)
            await contestant.load(sessions)
            turn = await contestant.turn(Task.INCREMENT, sessions, callers=4, seconds=0.05, warm_up=0)
        finally:
            await contestant.close()
    assert (dict(turn.errors), turn.lost) == ({}, 0)
    assert turn.operations


async def test_a_contestant_that_is_not_installed_is_in_the_table_with_the_reason(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contestants, "CONTESTANTS", contestants.CONTESTANTS | {"absent": "no_such_module:Absent"})
    bench = Bench(Options(("get",), ("psycopg", "absent"), rounds=1, seconds=0.01), server, Console(quiet=True))
    try:
        await bench.enrol()
        section = await get.run(bench)
    finally:
        bench.close()
    for table in section.tables:
        present, absent = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
        assert (present["contestant"], present["errors"]) == ("psycopg", "0")
        assert (absent["contestant"], absent["reads/s"]) == ("absent", "-")
        assert absent["errors"].startswith("not installed")
