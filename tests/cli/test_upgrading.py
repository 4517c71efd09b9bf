"""`sessionstore migrate states`, on managers of a service's own modules."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessionstore.storage import Append, NewItem
from sessionstore.testing.support.documents import draft, key

from .conftest import Store, call, told

SERVICE = """
from sessionstore import SessionManager, open_storage, sync

storage = open_storage({url!r})

def second(state):
    return {{"was": state["n"]}}

class Desk:
    chats = SessionManager(dict, storage, "chat", state_version=2, upgrades={{1: second}})

chats = Desk.chats

def make_chats():
    return chats

async def await_chats():
    return chats

in_threads = sync.StorageProvider(storage)
without_asyncio = sync.SessionManager(dict, in_threads, "chat", state_version=2, upgrades={{1: second}})

def make_without_asyncio():
    return without_asyncio

in_memory = SessionManager(dict)
number = 5

def make_number():
    return 5
"""


@pytest.fixture
def service(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes the argument that names something in the module of a service, in the working directory."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "chat_service.py").write_text(SERVICE.format(url=store.url))
    (tmp_path / "broken_service.py").write_text("import a_module_that_is_not_there\n")
    yield "chat_service:{}".format
    sys.modules.pop("chat_service", None)


@pytest.mark.parametrize(
    "name", ["chats", "Desk.chats", "make_chats", "await_chats", "without_asyncio", "make_without_asyncio"]
)
def test_older_states_are_rewritten(store: Store, service: Callable[[str], str], name: str) -> None:
    store.put(*(draft(f"s{n}", '{"n":1}') for n in range(3)))
    ended = call("migrate", "states", service(name), "--batch-size", "2")
    assert (ended.exit_code, ended.stdout) == (0, "rewrote 3 states and 0 items\n"), ended.output
    document = store.ask(lambda storage: storage.get(key("s1"), touch=False))
    assert document is not None
    assert (document.state_version, json.loads(document.state)) == (2, {"was": 1})


def test_misfits_are_counted_and_the_status_is_1(store: Store, service: Callable[[str], str]) -> None:
    store.put(draft("good", '{"n":1}'), draft("bad", '{"secret":1}'))
    store.ask(lambda storage: storage.append_many([Append(key("good"), [NewItem("1", version=4)])]))
    ended = call("migrate", "states", service("chats"), "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout) == {"states": 1, "items": 0, "misfits": 2, "held": 0, "complete": True}
    assert "upgrades[1] raised KeyError" in ended.stderr
    assert "'bad'" in ended.stderr
    assert "shape version 4" in ended.stderr
    assert "2 states and items could not be upgraded" in ended.stderr
    assert "secret" not in ended.output


def test_a_run_that_is_over_its_time_says_that_there_is_more(store: Store, service: Callable[[str], str]) -> None:
    store.put(*(draft(f"s{n}", '{"n":1}') for n in range(3)))
    ended = call("migrate", "states", service("chats"), "--batch-size", "1", "--max-seconds", "0.000001")
    assert (ended.exit_code, ended.stdout) == (1, "rewrote 1 states and 0 items\n")
    assert "run this again" in ended.stderr


@pytest.mark.parametrize("provider_kind", ["sqlite"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("chat_service", "MODULE:MANAGER"),
        ("chat_service:", "MODULE:MANAGER"),
        (":chats", "MODULE:MANAGER"),
        ("no_such_module:chats", "no module"),
        ("chat_service.inner:chats", "no module"),
        ("chat_service:chat", "has no"),
        ("chat_service:number", "neither"),
        ("chat_service:make_number", "must lead to a SessionManager, not to an int"),
        ("chat_service:in_memory", "memory"),
    ],
)
@pytest.mark.usefixtures("service")
def test_a_place_without_a_manager(place: str, why: str) -> None:
    ended = call("migrate", "states", place)
    assert ended.exit_code == 2
    assert why in told(ended)


@pytest.mark.parametrize("provider_kind", ["sqlite"])
@pytest.mark.usefixtures("service")
def test_an_error_of_the_services_module_is_not_hidden() -> None:
    ended = call("migrate", "states", "broken_service:chats")
    assert isinstance(ended.exception, ModuleNotFoundError)
