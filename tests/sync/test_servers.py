"""Servers and task queues as services run them: forks after loading, reloaders, time limits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from .programs import ROOT, run

_SECONDS: Final = 60.0

pytestmark = pytest.mark.parametrize("provider_kind", ["postgresql"], indirect=True)

_STORE = """
import os
import sys
from sessionstore.sync import *

def new_count(session_id):
    return {"n": 0}

def add_one(state):
    state["n"] += 1

storage = open_storage(os.environ["SESSIONSTORE_DATABASE_URL"])
counts = SessionManager(new_count, storage)
"""

_WSGI = """
from store import *

counts.create_session("s")  # the process that forks has used the storage
counts.update_session("s", add_one)

def application(environ, start_response):
    n = counts.update_session("s", add_one).unwrap()["n"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [f'{{"n": {n}, "pid": {os.getpid()}}}'.encode()]
"""

_FLASK = """
from flask import Flask
from store import *

app = Flask(__name__)

@app.get("/")
def update():
    counts.create_session("s")
    return {"n": counts.update_session("s", add_one).unwrap()["n"], "pid": os.getpid()}

if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), use_reloader=True, threaded=True)
"""

_DJANGO = """
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path
from store import *

def update(request):
    counts.create_session("s")
    return JsonResponse({"n": counts.update_session("s", add_one).unwrap()["n"], "pid": os.getpid()})

urlpatterns = [path("", update)]

if __name__ == "__main__":
    settings.configure(DEBUG=True, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="k")
    execute_from_command_line([sys.argv[0], "runserver", "--skip-checks", sys.argv[1]])
"""


@pytest.fixture
def service(tmp_path: Path, storage_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a module that has the storage."""
    monkeypatch.setenv("SESSIONSTORE_DATABASE_URL", storage_url)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    (tmp_path / "store.py").write_text(_STORE)
    return tmp_path


@contextmanager
def _running(directory: Path, *arguments: str) -> Iterator[Path]:
    """A process in a group of its own, and the file with what it says. Must end when it is told to."""
    said = directory / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield said
    finally:
        # A reloader leaves its child alone. Celery ends its pool itself, and waits for ever if somebody else ended it.
        if "celery" in arguments:
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert "Traceback" not in said.read_text(), said.read_text()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _until(found: Callable[[], Any], said: Path) -> Any:
    """Waits until another process has done something, which gives no signal."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        try:
            if answer := found():
                return answer
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(said.read_text())


def _get(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=_SECONDS) as answer:
        told: dict[str, int] = json.loads(answer.read())
    return told


def _counted() -> int:
    return int(run("print(counted(os.environ['SESSIONSTORE_DATABASE_URL']))")[-1])


@pytest.mark.parametrize("workers", [("--worker-class", "sync"), ("--worker-class", "gthread", "--threads", "4")])
def test_workers_of_a_preloaded_application_lose_no_update(service: Path, workers: Sequence[str]) -> None:
    (service / "wsgi.py").write_text(_WSGI)
    port = _free_port()
    options = ("--preload", "--workers", "3", "--bind", f"127.0.0.1:{port}", "--no-control-socket", *workers)
    with _running(service, "-m", "gunicorn", *options, "wsgi") as said:
        _until(lambda: said.read_text().count("Booting worker") == 3, said)
        told = [_get(port)["n"] for _ in range(30)]
    assert told == list(range(2, 32))
    assert _counted() == 31


@pytest.mark.parametrize(
    ("program", "start"),
    [
        pytest.param(_FLASK, "Restarting with", id="flask"),
        pytest.param(_DJANGO, "Starting development server", id="django"),
    ],
)
def test_a_reloader_ends_the_old_process_and_starts_a_new_one(service: Path, program: str, start: str) -> None:
    file = service / "program.py"
    file.write_text(program)
    port = _free_port()
    with _running(service, "-X", "faulthandler", str(file), str(port)) as said:
        first = _until(lambda: _get(port), said)

        def started_again() -> bool:
            text = said.read_text()
            if "reloading" not in text:
                # A reloader does not see a change that comes before its first look, so the file changes again.
                with file.open("a") as opened:
                    opened.write("# changed\n")
            return text.count(start) == 2

        # No request meanwhile: threads of the old process would answer it while the process ends.
        _until(started_again, said)
        later = _until(lambda: _get(port), said)
    assert later["pid"] != first["pid"]
    assert later["n"] > first["n"] == 1
    assert _counted() == later["n"]


_CELERY = """
import time
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from store import *

app = Celery("tasks", broker="filesystem://", backend=f"file://{os.getcwd()}/results")
app.conf.broker_transport_options = {
    "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control", "polling_interval": 0.05
}
app.conf.worker_hijack_root_logger = False
counts.create_session("s")  # before the pool forks
counts.create_session("slow")

@app.task
def update(key):
    return [counts.update_session("s", add_one, idempotency_key=key).unwrap()["n"], os.getpid()]

@app.task(soft_time_limit=1)
def wait_for_a_row():
    # Another transaction holds the row until the limit has passed.
    began = time.monotonic()
    try:
        counts.update_session("slow", add_one, idempotency_key="once")
    except SoftTimeLimitExceeded:
        return ["limit", time.monotonic() - began]
    return ["landed", time.monotonic() - began]
"""

_CLIENT = """
from tasks import *
import psycopg
from sqlalchemy.engine import make_url

url = make_url(os.environ["SESSIONSTORE_DATABASE_URL"]).set(drivername="postgresql")
results = [update.delay(f"key {number % 15}") for number in range(30)]
told = [result.get(timeout=60) for result in results]
print(max(n for n, _ in told), len({pid for _, pid in told} - {os.getpid()}))
with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
    connection.execute("SELECT FROM sessionstore.sessions WHERE session_id = 'slow' FOR UPDATE")
    outcome, seconds = wait_for_a_row.delay().get(timeout=60)
    print(outcome, seconds < 8)
counts.update_session("slow", add_one, idempotency_key="once")
print(counts.get_session("slow").unwrap()["n"], counts.get_session("s").unwrap()["n"])
"""


def test_tasks_in_the_processes_of_a_pool_and_within_a_time_limit_land_once(service: Path) -> None:
    for name in ("queue", "control", "results"):
        (service / name).mkdir()
    (service / "tasks.py").write_text(_CELERY)
    (service / "client.py").write_text(_CLIENT)
    options = ("--pool", "prefork", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO")
    with _running(service, "-m", "celery", "-A", "tasks", "worker", *options) as said:
        client = subprocess.run(
            [sys.executable, "client.py"], cwd=service, capture_output=True, text=True, timeout=120, check=False
        )
        assert client.returncode == 0, client.stderr + said.read_text()
    assert client.stdout.splitlines() == ["15 2", "limit True", "1 15"]
