from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import Result

from sessionstore.testing.clock import ManualClock
from sessionstore.testing.support.documents import TTL, draft, key
from tests.cli.conftest import Run, Store, told

MINUTE = timedelta(minutes=1)
STATE = {"text": "Grüezi \x1b[31m\x9b[red]\u202e", "n": 1.5, "none": None, "turns": [1, "two", True]}


def listed(outcome: Result) -> list[str]:
    assert outcome.exit_code == 0
    (only,) = outcome.stdout.splitlines()
    return [session["session_id"] for session in json.loads(only)]


@pytest.fixture
def filled(store: Store) -> Store:
    store.put(
        draft("b", owner_id="u1"), draft("a2"), draft("a1", owner_id="u1"), draft("z", namespace="another", ttl=None)
    )
    store.put_expired(draft("gone", ttl=MINUTE))
    return store


def test_live_sessions_are_listed_in_order(filled: Store, run: Run) -> None:
    assert listed(run("list", "--json")) == ["z", "a1", "a2", "b"]
    assert listed(run("list", "--json", "--namespace", "chat")) == ["a1", "a2", "b"]
    assert listed(run("list", "--json", "--prefix", "a")) == ["a1", "a2"]
    assert listed(run("list", "--json", "--owner", "u1", "--namespace", "chat")) == ["a1", "b"]
    assert listed(run("list", "--json", "--namespace", "none")) == []


def test_a_limit_says_that_there_are_more(filled: Store, run: Run) -> None:
    outcome = run("list", "--json", "--limit", "2")
    assert listed(outcome) == ["z", "a1"]
    assert outcome.stderr == "there are more than 2 sessions; --limit 0 shows all\n"
    assert run("list", "--limit", "4").stderr == ""


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
def test_a_listing_goes_on_from_page_to_page(store: Store, run: Run) -> None:
    names = [f"{n:04}" for n in range(1100)]
    store.put(*map(draft, names))
    assert listed(run("list", "--json", "--limit", "0")) == names
    assert listed(run("list", "--json", "--limit", "600")) == names[:600]
    assert listed(run("list", "--json")) == names[:50]


def test_sessions_are_printed_as_a_table(filled: Store, run: Run) -> None:
    lines = run("list").stdout.splitlines()
    cells = [line.split() for line in lines if line.strip()]
    assert cells[0] == ["namespace", "session", "owner", "created", "last", "access", "expires"]
    assert cells[2][:2] == ["another", "z"]
    assert cells[2][-1] == "never"
    assert cells[3][:3] == ["chat", "a1", "u1"]
    assert cells[3][-1].endswith("Z")


def test_an_empty_store_is_no_failure(store: Store, run: Run) -> None:
    outcome = run("list")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "no live sessions\n")
    outcome = run("stats")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "no sessions\n")
    assert run("stats", "--json").stdout == "[]\n"


HOSTILE = ["[red]x[/red]", "[/]", ":smile:", "a\x1b[2Jb", "a\x9b31mb", "a\u202eb", "x" * 255, "-rf", "' OR 1=1", "{0}"]


def test_hostile_ids_and_owners_are_listed_unharmed(store: Store, run: Run) -> None:
    store.put(*(draft(name, namespace=name, owner_id=name, state='{"n": 1}') for name in HOSTILE))
    table = run("list").stdout
    counts = run("stats").stdout
    for shown in (table, counts):
        assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
        assert all(text in shown for text in ("[red]x[/red]", "[/]", ":smile:", "a\\u001b[2Jb", "a\\u202eb", "x" * 255))
    assert sorted(listed(run("list", "--json"))) == sorted(HOSTILE)
    assert run("list", "--json").stdout.isascii()
    for name in HOSTILE:
        if name.isprintable():
            assert run("show", "--json", f"--namespace={name}", "--database-url", store.url, "--", name).exit_code == 2
            assert shown_of(store, name)["session_id"] == name


def shown_of(store: Store, name: str) -> dict[str, Any]:
    from tests.cli.conftest import call

    outcome = call("show", "--json", f"--namespace={name}", "--database-url", store.url, "--", name)
    assert outcome.exit_code == 0
    return dict(json.loads(outcome.stdout))


def test_show_prints_all_metadata_of_a_session(store: Store, run: Run) -> None:
    store.put(draft("s", json.dumps(STATE), owner_id="u1", origin='{"from": "web"}', version=7, max_lifetime=2 * TTL))
    outcome = run("show", "s", "--namespace", "chat", "--json")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    assert outcome.stdout.isascii()
    shown = json.loads(outcome.stdout)
    assert shown["state"] == STATE
    facts = {"namespace": "chat", "session_id": "s", "owner_id": "u1", "origin": {"from": "web"}, "version": 7}
    assert shown.items() >= facts.items()
    assert shown["ttl_seconds"] == TTL.total_seconds()
    created = datetime.fromisoformat(shown["created_at"])
    assert created.utcoffset() == timedelta(0)
    assert datetime.fromisoformat(shown["deadline"]) - created == 2 * TTL
    assert datetime.fromisoformat(shown["expires_at"]) - created <= 1.1 * TTL
    assert (shown["updated_at"], shown["last_accessed_at"]) == (shown["created_at"], shown["created_at"])


def test_show_prints_the_state_without_control_characters(store: Store, run: Run) -> None:
    store.put(draft("s", json.dumps(STATE), owner_id="[red]", origin='{"from": "web"}', ttl=None, namespace="sessions"))
    outcome = run("show", "s")
    facts, _, state = outcome.stdout.partition("\n\n")
    assert json.loads(state) == STATE
    assert "Grüezi" in state
    assert not {"\x1b", "\x9b", "\u202e"} & set(outcome.stdout)
    pairs = dict(line.split("   ", 1) for line in facts.splitlines())
    found = {name.strip(): value.strip() for name, value in pairs.items()}
    assert found["owner"] == "[red]"
    assert json.loads(found["origin"]) == {"from": "web"}
    assert (found["expires"], found["at the latest"], found["time to live"]) == ("never", "never", "unlimited")


def test_show_shows_the_time_to_live(store: Store, run: Run) -> None:
    store.put(draft("s"))
    shown = run("show", "s", "--namespace", "chat").stdout
    assert ["time", "to", "live", "30m"] in [line.split() for line in shown.splitlines()]


def test_show_is_no_access(store: Store, run: Run) -> None:
    before_expiry = ManualClock(datetime.now(UTC) - TTL / 2)
    store.ask(lambda storage: storage.create(draft("s")), before_expiry)
    before = store.ask(lambda storage: storage.get(key("s"), touch=False))
    for command in (["show", "s", "--namespace", "chat"], ["list"], ["stats"]):
        assert run(*command).exit_code == 0
    assert store.ask(lambda storage: storage.get(key("s"), touch=False)) == before


@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["delete"], ["delete", "--json"]])
def test_an_absent_session_ends_with_status_1(filled: Store, run: Run, command: list[str]) -> None:
    for name, namespace in (("never", "chat"), ("gone", "chat"), ("z", "sessions")):
        outcome = run(*command, name, "--namespace", namespace)
        assert outcome.exit_code == 1
        assert f"no live session '{name}' in the namespace '{namespace}'" in told(outcome)


def test_delete_deletes_one_session(filled: Store, run: Run) -> None:
    outcome = run("delete", "b", "--namespace", "chat", "--json")
    assert json.loads(outcome.stdout) == {"namespace": "chat", "session_id": "b", "deleted": True}
    outcome = run("delete", "a1", "--namespace", "chat")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (0, "", "deleted session 'a1'\n")
    assert listed(run("list", "--json")) == ["z", "a2"]


def test_stats_count_each_namespace(filled: Store, run: Run) -> None:
    another, chat = json.loads(run("stats", "--json").stdout)
    assert another == {"namespace": "another", "live": 1, "expired": 0, "oldest_expiry": None}
    assert (chat["namespace"], chat["live"], chat["expired"]) == ("chat", 3, 1)
    assert datetime.fromisoformat(chat["oldest_expiry"]) < datetime.now(UTC)
    assert json.loads(run("stats", "--json", "--namespace", "another").stdout) == [another]


def test_stats_are_printed_as_a_table(filled: Store, run: Run) -> None:
    cells = [line.split() for line in run("stats").stdout.splitlines() if line.strip()]
    assert cells[0] == ["namespace", "live", "expired", "oldest", "expiry"]
    assert cells[2] == ["another", "1", "0", "-"]
    assert cells[3][:3] == ["chat", "3", "1"]
