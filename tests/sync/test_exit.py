"""The end of the interpreter: with calls under way, without close(), and calls that come too late."""

from __future__ import annotations

import pytest

from .programs import run

ON_SQLITE = pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)

_BEGIN = """
url = sys.argv[1]
storage = open_storage(url)
counts = SessionManager(new_count, storage)
counts.create_session("s")
"""


def _with_a_last_handler(code: str) -> str:
    """Has handlers between the marks run after the thread was ended, as if registered before the import."""
    end = "sessionstore.sync.process.PROCESS.end"
    return code.replace("_LAST", f"atexit.unregister({end})").replace("_END", f"atexit.register({end})")


@pytest.mark.parametrize("provider_kind", ["sqlite", "postgresql"], indirect=True)
def test_a_program_ends_although_it_closes_nothing(storage_url: str) -> None:
    lines = run(_BEGIN + "print(counts.update_session('s', add_one).unwrap())", storage_url)
    assert lines == ["{'n': 1}"]


@ON_SQLITE
def test_threads_that_python_waits_for_finish_their_calls(storage_url: str) -> None:
    code = """
def work():
    threading.main_thread().join()
    for _ in range(20):
        counts.update_session("s", add_one).unwrap()
    print(counts.get_session("s").unwrap())

threading.Thread(target=work).start()
"""
    assert run(_BEGIN + code, storage_url) == ["{'n': 20}"]


@ON_SQLITE
def test_calls_of_daemons_under_way_do_not_hang_the_end(storage_url: str) -> None:
    code = """
told = []
def work():
    with contextlib.suppress(ConfigurationError, StorageError):
        while True:
            told.append(counts.update_session("s", add_one).unwrap()["n"])

for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
while len(told) < 50:
    time.sleep(0.001)
_LAST
atexit.register(lambda: print(max(told)))
_END
"""
    (told,) = map(int, run(_BEGIN + _with_a_last_handler(code), storage_url))
    # What a thread was told is written. At most the last call of each thread landed and was not told any more.
    (found,) = map(int, run("print(counted(sys.argv[1]))", storage_url))
    assert 50 <= told <= found <= told + 8


def test_a_call_that_never_ends_is_given_up_at_the_end() -> None:
    code = """
from tests.sync.held import HeldStorage
import sessionstore.sync.bridge as bridges
bridges.END_SECONDS = 0.1
held = HeldStorage()
held.stubborn = True
counts = SessionManager(new_count, StorageProvider(held))
counts.create_session("s")
held.hold()
threading.Thread(target=counts.get_session, args=("s",), daemon=True).start()
assert held.entered.wait(30)
print("ends")
"""
    lines = run(code)
    assert lines[0] == "ends"


@pytest.mark.parametrize("used", [True, False], ids=["used", "unused"])
def test_a_handler_of_the_end_may_call_if_the_thread_runs_already(used: bool) -> None:
    code = f"""
counts = SessionManager(new_count)
def last():
    try:
        print(counts.create_session("last").created)
    except ConfigurationError as error:
        print(error)
atexit.register(last)
if {used}:
    counts.create_session("s")
"""
    (line,) = run(code)
    assert line == "True" if used else line.startswith("the interpreter is shutting down")


def test_a_call_after_the_end_of_the_thread_is_refused() -> None:
    code = """
counts = SessionManager(new_count)
counts.create_session("s")
def last():
    try:
        counts.get_session("s")
    except ConfigurationError as error:
        print(error)
_LAST
atexit.register(last)
_END
"""
    (line,) = run(_with_a_last_handler(code))
    assert line.startswith("the interpreter is shutting down")


@ON_SQLITE
def test_an_interrupted_program_ends(storage_url: str) -> None:
    # A shell ignores this signal in programs that it starts in the background. Their children inherit that.
    code = """
signal.signal(signal.SIGINT, signal.default_int_handler)
counts.update_session("s", add_one)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        counts.update_session("s", add_one)
except KeyboardInterrupt:
    storage.close()
    print(threads())
"""
    assert run(_BEGIN + code, storage_url) == ["[]"]
