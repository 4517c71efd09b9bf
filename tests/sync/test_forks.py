"""Forks and other processes: a child has a loop of its own and touches nothing of its parent's."""

from __future__ import annotations

import pytest

from .programs import run

ON_DISK = pytest.mark.parametrize("provider_kind", ["sqlite", "postgresql"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("provider_kind", ["postgresql"], indirect=True)

_MODULE = """
storage = open_storage(sys.argv[1])
counts = SessionManager(new_count, storage)

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), flush=True)
            os._exit(1)
    return pid

def ended(*pids):
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]

def update(count=1):
    for _ in range(count):
        counts.update_session("s", add_one).unwrap()
"""


@ON_DISK
def test_a_storage_of_a_module_is_used_before_and_after_a_fork(storage_url: str) -> None:
    code = """
counts.create_session("s")
def child():
    assert threads() == []
    update(3)
    assert len(threads()) == 1
    storage.close()
    assert threads() == []
for _ in range(3):
    assert ended(in_child(child)) == [0]
    update()
    assert len(threads()) == 1
storage.close()
print(threads())
"""
    assert run(_MODULE + code, storage_url) == ["[]"]
    assert run("print(counted(sys.argv[1]))", storage_url) == ["12"]


@ON_DISK
def test_fifty_forks_under_traffic_lose_and_double_nothing(storage_url: str) -> None:
    code = """
counts.create_session("s")
stopping = threading.Event()
done = [0] * 4
def work(number):
    while not stopping.is_set():
        update()
        done[number] += 1
workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for worker in workers:
    worker.start()
children = []
for number in range(50):
    children.append(in_child(update))
    if len(children) == 10:
        assert ended(*children) == [0] * 10
        children.clear()
stopping.set()
for worker in workers:
    worker.join()
assert counts.get_session("s").unwrap()["n"] == sum(done) + 50
storage.close()
print(threads(), min(done) > 0)
"""
    assert run(_MODULE + code, storage_url) == ["[] True"]


@ON_POSTGRESQL
def test_a_grandchild_works_like_a_child(storage_url: str) -> None:
    code = """
counts.create_session("s")
def child():
    update()
    assert ended(in_child(update)) == [0]
    update()
print(ended(in_child(child)))
update()
"""
    assert run(_MODULE + code, storage_url) == ["[0]"]
    assert run("print(counted(sys.argv[1]))", storage_url) == ["4"]


@ON_POSTGRESQL
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_work(storage_url: str, method: str) -> None:
    if method == "spawn":
        code = """
if __name__ == "__main__":
    with open_storage(sys.argv[1]) as storage:
        SessionManager(new_count, storage).create_session("s")
        context = multiprocessing.get_context("spawn")
        from tests.sync.spawned import update
        with context.Pool(2) as pool:
            print(pool.map(update, [sys.argv[1]] * 4))
"""
        assert run(code, storage_url) == ["[True, True, True, True]"]
    else:
        code = """
counts.create_session("s")
update()
def work(_):
    update()
    return len(threads())
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(4)))
process = multiprocessing.get_context("fork").Process(target=update, args=(2,))
process.start()
process.join()
print(process.exitcode)
"""
        assert run(_MODULE + code, storage_url) == ["[1, 1, 1, 1]", "0"]
        assert run("print(counted(sys.argv[1]))", storage_url) == ["7"]


@ON_DISK
def test_a_child_that_was_forked_without_the_hooks_of_python_has_a_loop_of_its_own(storage_url: str) -> None:
    # uWSGI forks so, unless it was started with --py-call-uwsgi-fork-hooks.
    code = """
import ctypes
counts.create_session("s")
update()
fork = ctypes.PyDLL(None).fork
for _ in range(3):
    pid = fork()
    if pid == 0:
        update(2)
        os._exit(0)
    update()
    assert ended(pid) == [0]
storage.close()
print(threads())
"""
    assert run(_MODULE + code, storage_url) == ["[]"]
    assert run("print(counted(sys.argv[1]))", storage_url) == ["10"]


def test_a_child_that_was_forked_in_the_middle_of_a_call_is_told() -> None:
    code = """
from tests.sync.held import HeldStorage
held = HeldStorage()
counts = SessionManager(new_count, StorageProvider(held))
counts.create_session("s")
parent = os.getpid()
def fork(*_):
    if os.fork():
        held.release()
signal.signal(signal.SIGUSR1, fork)
held.hold()
def interrupt():
    assert held.entered.wait(30)
    os.kill(parent, signal.SIGUSR1)
threading.Thread(target=interrupt).start()
try:
    counts.update_session("s", add_one).unwrap()
except ConfigurationError as error:
    assert os.getpid() != parent
    print(error, flush=True)
    os._exit(0)
os.wait()
print(counts.get_session("s").unwrap(), flush=True)
"""
    told, found = run(code)
    assert "forked in the middle of a call" in told
    assert found == "{'n': 1}"


@ON_POSTGRESQL
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_child_that_ends_like_any_program_harms_not_its_parent(storage_url: str, loop: str) -> None:
    # At its end Python frees the loop that the child has inherited.
    code = f"""
if {loop!r} == "asyncio":
    sys.modules["uvloop"] = None
counts.create_session("s")
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        update()
        sys.exit(0)
    assert ended(pid) == [0]
    update()
storage.close()
print(threads())
"""
    assert run(_MODULE + code, storage_url) == ["[]"]
    assert run("print(counted(sys.argv[1]))", storage_url) == ["6"]


@ON_POSTGRESQL
def test_a_block_with_a_reaper_ends_in_a_forked_child(storage_url: str) -> None:
    code = """
from datetime import timedelta
counts.create_session("s")
with Reaper(storage).every(timedelta(hours=1)):
    pid = os.fork()
if pid == 0:
    update()
    os._exit(0)
print(ended(pid), flush=True)
storage.close()
"""
    assert run(_MODULE + code, storage_url) == ["[0]"]


@ON_POSTGRESQL
def test_a_process_that_exits_while_forked_children_use_the_storage_harms_none(storage_url: str) -> None:
    code = """
counts.create_session("s")
reader, writer = os.pipe()
def child():
    update()
    os.read(reader, 1)  # the parent has closed its storage
    update()
pid = in_child(child)
update()
storage.close()
os.write(writer, b"x")
print(ended(pid))
"""
    assert run(_MODULE + code, storage_url) == ["[0]"]
