from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sessionstore import Batching, MemoryStorageProvider, register_storage
from sessionstore.demo import shipped
from sessionstore.storage import Clock, Purge, Summary, Write
from sessionstore.storage import open as opening
from tests.cli.conftest import Store, call, told
from tests.cli.terminal import run_at_terminal

ENDS: dict[str, str] = {
    "lost updates": "0",
    "sessions that differ from their transcript": "0",
    "found by get once expired": "0",
    "sessions left": "0",
}


class Lossy(MemoryStorageProvider):
    """Says of one write that it landed, and it did not. What it loses is named by the end of the namespace."""

    losing = ""

    def __init__(self, *, clock: Clock | None = None) -> None:
        # Without remembering, or the next write would bring along what this one lost.
        super().__init__(clock=clock, batching=Batching(remember=0))

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        if self.losing and writes[0].read.key.namespace.endswith(self.losing):
            self.losing = ""
            documents = await self.get_many([write.read.key for write in writes])
            return [document and document.summary for document in documents]
        return await super().update_many(writes)


class Unreaped(MemoryStorageProvider):
    async def purge_batch(
        self, *, limit: int = 5000, grace: timedelta = timedelta(0), since: datetime | None = None
    ) -> Purge:
        return Purge(0, None, 0)


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[MemoryStorageProvider]], str]:
    """The URL that opens a storage of this class."""
    monkeypatch.setattr(opening, "_FACTORIES", dict(opening._FACTORIES))

    def opens(provider: type[MemoryStorageProvider]) -> str:
        register_storage("special", lambda url, **options: provider(**options))
        return "special://"

    return opens


@pytest.fixture
def two_conversations(tmp_path: Path) -> str:
    file = tmp_path / "two.jsonl"
    file.write_bytes(b"\n".join(shipped().read_bytes().splitlines()[:2]))
    return str(file)


def facts(printed: str) -> dict[str, str]:
    pairs = (line.rsplit("   ", 1) for line in printed.splitlines() if "   " in line)
    return {name.strip(): value.strip() for name, value in pairs}


def test_the_demo_needs_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # Whoever tries the demo does not mean the database that the service uses, nor how long its sessions live.
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", "carrier-pigeon://coop")
    monkeypatch.setenv("SESSION_TTL_SECONDS", "1")
    outcome = call("demo")
    assert outcome.exit_code == 0
    found = facts(outcome.stdout)
    assert found.items() >= ENDS.items()
    lines = shipped().read_text(encoding="utf-8").splitlines()
    turns = sum(len(json.loads(line)["turns"]) for line in lines)
    assert (found["sessions"], found["turns"], found["workers"]) == (str(len(lines)), str(turns), "8")
    assert 0 < int(found["written in statements"]) < int(found["updates"])
    assert found["sessions deleted by the reaper"] == str(2 * len(lines))
    assert "temporary SQLite file" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demo_runs_on_a_given_database(store: Store, two_conversations: str) -> None:
    outcome = call("demo", two_conversations, "--workers", "3", "--database-url", store.url)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    found = facts(outcome.stdout)
    assert found.items() >= ENDS.items()
    assert (found["sessions"], found["workers"]) == ("2", "3")
    assert store.ask(lambda storage: storage.stats()) == []


@pytest.mark.parametrize(
    ("losing", "fault"),
    [("-chat", "1 of 12 turns are missing"), ("-orchestration", "the sequence is at 11 instead of 12")],
)
def test_a_lost_update_ends_the_demo_with_status_1(
    losing: str, fault: str, opens: Callable[[type[MemoryStorageProvider]], str], two_conversations: str
) -> None:
    provider = type("Losing", (Lossy,), {"losing": losing})
    outcome = call("demo", two_conversations, "--workers", "1", "--database-url", opens(provider))
    assert outcome.exit_code == 1
    assert fault in outcome.stderr
    assert outcome.stderr.endswith(
        "error: updates were lost, or sessions differ from their transcripts; see the lines above\n"
    )
    assert (
        facts(outcome.stdout).items()
        >= {**ENDS, "lost updates": "1", "sessions that differ from their transcript": "1"}.items()
    )


def test_a_row_that_is_not_reaped_ends_the_demo_with_status_1(
    opens: Callable[[type[MemoryStorageProvider]], str], two_conversations: str
) -> None:
    outcome = call("demo", two_conversations, "--database-url", opens(Unreaped))
    assert outcome.exit_code == 1
    assert facts(outcome.stdout)["sessions left"] == "4"


def test_a_malformed_file_is_a_wrong_call(two_conversations: str) -> None:
    with Path(two_conversations).open("a", encoding="utf-8") as file:
        file.write('\n{"dialogue_id": "x"}\n')
    outcome = call("demo", two_conversations)
    assert outcome.exit_code == 2
    assert told(outcome) == "line 3 of two.jsonl is no conversation: $.turns: Field required"


@pytest.mark.parametrize("arguments", [["no-such.jsonl"], ["."], ["--workers", "0"], ["--workers", "many"]])
def test_a_demo_that_cannot_begin_is_a_wrong_call(arguments: list[str]) -> None:
    outcome = call("demo", *arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")


def test_a_terminal_shows_the_progress_of_the_demo(two_conversations: str) -> None:
    seen = run_at_terminal("demo", two_conversations)
    assert seen.status == 0
    assert facts(seen.stdout).items() >= ENDS.items()
    assert "turns/s" in seen.screen
    assert f"{facts(seen.stdout)['turns']} of {facts(seen.stdout)['turns']} turns" in seen.screen
