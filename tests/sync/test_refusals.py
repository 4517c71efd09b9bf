"""Where no thread can run an event loop for the caller, the call says so by name."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from sessionstore import ConfigurationError
from sessionstore.sync import MemoryStorageProvider, Reaper, SessionManager, StorageProvider

from .conftest import threads
from .counting import Counted, add_one, new_count


async def test_a_call_in_a_coroutine_is_refused_with_advice(storage_url: str) -> None:
    storage = MemoryStorageProvider()
    counts = SessionManager(new_count, storage)
    for call in (lambda: counts.create_session("s"), storage.check, storage.close):
        with pytest.raises(ConfigurationError, match=r"await the same call of sessionstore .* asyncio\.to_thread"):
            call()
    assert (await asyncio.to_thread(counts.create_session, "s")).created
    await asyncio.to_thread(storage.close)


def test_a_call_from_inside_an_update_function_is_refused_with_advice(
    storage: StorageProvider, counts: SessionManager[Counted]
) -> None:
    counts.create_session("s")
    other = MemoryStorageProvider()

    def update(state: Counted) -> None:
        counts.get_session("s")

    def close(state: Counted) -> None:
        storage.close()

    def use_another(state: Counted) -> None:
        SessionManager(new_count, other).create_session("t")

    for function in (update, close, use_another):
        with pytest.raises(ConfigurationError, match="thread of its own event loop, that is from an update function"):
            counts.update_session("s", function)
    assert counts.update_session("s", add_one).unwrap() == {"n": 1}


def test_a_call_from_inside_other_functions_of_a_service_is_refused(storage: StorageProvider) -> None:
    counts = SessionManager(new_count, storage)

    def make(session_id: str) -> Counted:
        return counts.get_session("s").unwrap()

    with pytest.raises(ConfigurationError, match="from an update function or a callback"):
        SessionManager(make, storage).create_session("s")

    def call(progress: object) -> None:
        counts.get_session("s")

    with pytest.raises(ConfigurationError, match="from an update function or a callback"):
        Reaper(storage).run_once(on_batch=call)


def _with_uwsgi(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    # As uWSGI's plugin for Python 3 makes it: names as text, values as bytes, True for an option without a value.
    named = {name.replace("_", "-"): value for name, value in options.items()}
    monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=named))


@pytest.mark.parametrize("options", [{}, {"master": True}, {"enable_threads": b"0"}, {"enable_threads": b"false"}])
def test_uwsgi_without_threads_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    _with_uwsgi(monkeypatch, **options)
    with MemoryStorageProvider() as storage:
        with pytest.raises(ConfigurationError, match=r"uWSGI .* --enable-threads"):
            storage.check()
        assert threads() == []


@pytest.mark.parametrize("options", [{"enable_threads": True}, {"enable_threads": b"1"}, {"threads": b"4"}])
def test_uwsgi_with_threads_is_used(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    _with_uwsgi(monkeypatch, **options)
    with MemoryStorageProvider() as storage:
        storage.check()


_PATCHED = """
import warnings
warnings.simplefilter("ignore")
{patch}
from sessionstore.sync import ConfigurationError, MemoryStorageProvider
storage = MemoryStorageProvider()
try:
    storage.check()
except ConfigurationError as error:
    print(error)
storage.close()
"""


def _printed_after(patch: str) -> str:
    code = _PATCHED.replace("{patch}", patch)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True).stdout


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        ("gevent", "import gevent.monkey; gevent.monkey.patch_all()"),
        ("gevent", "import gevent.monkey; gevent.monkey.patch_thread()"),
        ("gevent", "import gevent.monkey; gevent.monkey.patch_all(thread=False)"),
        ("eventlet", "import eventlet; eventlet.monkey_patch()"),
        ("eventlet", "import eventlet; eventlet.monkey_patch(thread=False)"),
    ],
)
def test_patched_threads_and_sockets_are_refused_by_name(name: str, patch: str) -> None:
    assert _printed_after(patch).startswith(f"{name} has replaced Python's threads and sockets")


@pytest.mark.parametrize("module", ["gevent.monkey", "eventlet.patcher"])
def test_a_package_that_is_installed_and_patched_nothing_is_no_reason_to_refuse(module: str) -> None:
    assert not _printed_after(f"import {module}")


def test_a_thread_that_python_refuses_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with MemoryStorageProvider() as storage:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(ConfigurationError, match="can't start new thread"):
                storage.check()
        storage.check()


def test_importing_starts_nothing() -> None:
    code = "import sys, threading, sessionstore.sync; print(threading.active_count(), 'uvloop' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True)
    assert ended.stdout == "1 False\n"
