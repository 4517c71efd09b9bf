"""How commands end: 0, 1, 2 or 130, and what they say then."""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from sessionstore import SessionStoreError, errors, register_storage
from sessionstore.cli import app, main
from sessionstore.storage import open as opening
from sessionstore.testing.support.documents import draft
from tests.cli.conftest import Store, call, told
from tests.cli.terminal import run_process, surroundings

PASSWORD = "s3cr3t w0rd"
URL = f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"

EVERY_ERROR: list[tuple[SessionStoreError, int]] = [
    (errors.SessionStoreError("it happened"), 1),
    (errors.ConfigurationError("it happened"), 2),
    (errors.SessionNotFoundError("s"), 1),
    (errors.ItemNotFoundError("s", position=1), 1),
    (errors.SessionConflictError("s", expected=1, actual=2), 1),
    (errors.SessionOwnerError("s"), 1),
    (errors.InvalidSessionIdError("s", "is bad"), 2),
    (errors.InvalidStateError("is bad"), 1),
    (errors.StateTooLargeError(size=2, limit=1), 1),
    (errors.CorruptStateError("is bad"), 1),
    (errors.StorageError("it happened"), 1),
    (errors.StorageUnavailableError("it happened"), 1),
    (errors.SessionHeldError("it happened"), 1),
    (errors.UpdateOutcomeUnknownError("it happened"), 1),
    (errors.SchemaError("it happened", found=None, wanted="1"), 1),
]


def subclasses(of: type[SessionStoreError]) -> Iterator[type[SessionStoreError]]:
    yield of
    for subclass in of.__subclasses__():
        yield from subclasses(subclass)


@pytest.fixture
def failing_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], str]:
    """The URL of a storage that cannot be opened."""
    monkeypatch.setattr(opening, "_FACTORIES", dict(opening._FACTORIES))

    def failing_with(error: BaseException) -> str:
        def fail(url: str, **options: Any) -> Any:
            raise error

        register_storage("failing", fail)
        return "failing://"

    return failing_with


@pytest.mark.parametrize(("error", "status"), EVERY_ERROR, ids=lambda value: type(value).__name__)
def test_every_error_of_the_library_is_a_line_and_a_status(
    error: SessionStoreError, status: int, failing_with: Callable[[BaseException], str]
) -> None:
    outcome = call("stats", "--database-url", failing_with(error))
    assert (told(outcome), outcome.exit_code) == (str(error), status)


class Quoting(Exception):
    """What a driver may raise."""


@pytest.mark.parametrize(
    ("cause", "code", "shown"),
    [
        (
            Quoting('relation "sessions" already exists'),
            "42P07",
            '; cause: Quoting: relation "sessions" already exists',
        ),
        (Quoting("no room\nDETAIL: s3cr3t"), "53100", "; cause: Quoting: no room"),
        (Quoting('invalid input syntax: "s3cr3t"'), "22P02", "; cause: Quoting"),
        (Quoting("s3cr3t, says a trigger"), "P0001", "; cause: Quoting"),
        (Quoting(f"could not parse {URL}"), None, "; cause: Quoting: could not parse <a URL>"),
        (Quoting(), None, "; cause: Quoting"),
        (ConnectionRefusedError(111, "Connection refused"), None, "; cause: ConnectionRefusedError: [Errno 111] "),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_cause_is_printed_without_the_values_that_it_quotes(
    cause: Exception, code: str | None, shown: str, failing_with: Callable[[BaseException], str]
) -> None:
    error = errors.StorageError("it happened", code=code)
    error.__cause__ = cause
    outcome = call("stats", "--database-url", failing_with(error))
    assert told(outcome).startswith(f"{error}{shown}")
    assert "s3cr3t" not in outcome.output


def test_every_class_of_error_has_a_case_here() -> None:
    ours = {error for error in subclasses(SessionStoreError) if error.__module__ == errors.__name__}
    assert {type(error) for error, _ in EVERY_ERROR} == ours


def test_an_error_of_programming_keeps_its_traceback(failing_with: Callable[[BaseException], str]) -> None:
    bug = RuntimeError("a bug")
    assert call("stats", "--database-url", failing_with(bug)).exception is bug


def test_a_traceback_shows_no_variables() -> None:
    program = """
import sys
from sessionstore import register_storage
from sessionstore.cli import main

def buggy(url, **options):
    state = "hid" + "den"
    raise RuntimeError("a bug")

register_storage("buggy", buggy)
main()
"""
    command = [sys.executable, "-c", program, "stats", "--database-url", f"buggy://{PASSWORD}"]
    done = subprocess.run(command, env=surroundings(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("RuntimeError: a bug\n")
    assert "hidden" not in done.stderr
    assert PASSWORD not in done.stderr


def test_an_interrupt_ends_with_status_130(failing_with: Callable[[BaseException], str]) -> None:
    outcome = call("reap", "--database-url", failing_with(KeyboardInterrupt()))
    assert outcome.exit_code == 130
    assert "Traceback" not in outcome.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["stats", "--nonsense"],
        ["list", "--limit", "-1"],
        ["list", "--namespace", ""],
        ["list", "--owner", "a\udc80b"],
        ["list", "--prefix", "a\nb"],
        ["stats", "--namespace", "x" * 256],
        ["show"],
        ["show", "x" * 256],
        ["delete", "a\x1bb"],
        ["stats", "--database-url", "no-url"],
        ["stats", "--database-url", ""],
        ["migrate", "upgrade", "--database-url", " "],
        ["migrate", "upgrade", "--schema", "", "--database-url", "postgresql://db/app"],
        ["migrate", "upgrade", "--lock-timeout", "soon"],
        ["migrate", "upgrade", "--lock-timeout", "0"],
        ["stats", "--database-url", "postgresql://db/app?pool_size=5"],
        ["stats", "--database-url", "carrier-pigeon://coop"],
        ["stats", "--database-url", "memory://", "--schema", "s"],
    ],
)
def test_a_wrong_call_ends_with_status_2(arguments: list[str]) -> None:
    outcome = call(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr
    assert "\x1b" not in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [URL],
        ["list", URL],
        ["show", "s", URL],
        ["list", "--limit", URL],
        ["reap", "--grace", URL],
        ["reap", "--pace", URL],
        ["migrate", URL],
        ["migrate", "upgrade", URL],
        ["demo", URL],
        ["--database-url", URL, "list"],
        [f"--database-url={URL}", "list"],
        ["stats", f"--database={URL}"],
    ],
)
def test_a_url_in_the_wrong_place_is_not_repeated(arguments: list[str]) -> None:
    outcome = call(*arguments)
    assert outcome.exit_code == 2
    assert all(part not in outcome.output for part in PASSWORD.split())


@pytest.mark.parametrize(
    "command", [["stats"], ["list"], ["show", "s"], ["delete", "s"], ["reap"], ["reap", "--dry-run"], ["demo"]]
)
def test_an_unreachable_database_ends_with_status_1_and_its_url_is_not_printed(command: list[str]) -> None:
    outcome = call(*command, "--database-url", "postgresql://app:s3cr3t@127.0.0.1:1/app")
    assert outcome.exit_code == 1
    assert "check that the server runs" in told(outcome)
    assert "s3cr3t" not in outcome.output


@pytest.mark.parametrize("command", [["stats"], ["show", "s"], ["reap", "--json"], ["demo"]])
def test_a_database_without_tables_ends_with_status_1_and_names_the_command_to_run(command: list[str]) -> None:
    outcome = call(*command, "--database-url", "sqlite:///empty.db")
    assert outcome.exit_code == 1
    assert "run `sessionstore migrate upgrade`" in told(outcome)


def every_command(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(every_command(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(path: tuple[str, ...]) -> None:
    outcome = call(*path, "--help")
    assert outcome.exit_code == 0
    assert f"\n    sessionstore {' '.join(path)}" in outcome.stdout
    for parameter in COMMANDS[path].params:
        assert parameter.help, f"{parameter.name} is not explained"
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    # The manager that `migrate states` is given has a storage of its own.
    assert path == ("migrate", "states") or {"--database-url", "--schema"} <= options


def test_without_a_command_there_is_help() -> None:
    assert "sessionstore migrate upgrade" in call().output
    assert "upgrade" in call("migrate").output


def test_the_module_is_the_command() -> None:
    done = run_process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    name, _, version = done.stdout.strip().partition(" ")
    assert name == "sessionstore"
    assert version
    assert run_process("list", "--limit", "x").stderr.startswith("Usage: sessionstore list")


def test_the_module_runs_nothing_when_it_is_only_imported() -> None:
    assert importlib.import_module("sessionstore.__main__").main is main


def test_main_also_writes_to_a_stream_that_has_no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sessionstore", "--version"])
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit, match="0"):
        main()
    assert out.getvalue().startswith("sessionstore ")


def test_the_version_is_the_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        return f"1.2.3 of {name}"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", installed)
    assert call("--version").stdout == "sessionstore 1.2.3 of sessionstore\n"
    monkeypatch.setattr(metadata, "version", missing)
    assert "not installed" in call("--version").stdout


@pytest.mark.parametrize("provider_kind", ["sqlite"], indirect=True)
def test_the_environment_names_the_database_and_no_encoding_breaks_a_listing(store: Store, tmp_path: Path) -> None:
    store.put(draft("Zürich-世界"))
    done = run_process("list", SESSIONSTORE_DATABASE_URL=store.url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"Z\xfcrich-\u4e16\u754c" in done.stdout
    assert not (tmp_path / "sessionstore.db").exists()
