"""The command `sessionstore`: migrates, reaps, shows and deletes sessions, and runs the demo.

Data goes to stdout, messages go to stderr. Exit status: 0 done, 1 the work failed, 2 the call was wrong,
130 interrupted.
"""

from __future__ import annotations

import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from . import checking, demoing, granting, migrating, reaping, sessions, upgrading
from .faults import Commands
from .options import examples

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # Plain lines without markup, because errors also go to logs, and may quote what a user typed.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(migrating.app, name="migrate")
migrating.app.command(
    epilog=examples("migrate check && start-the-service", "migrate check --json", "migrate check --use reaper")
)(checking.check)
migrating.app.command(
    epilog=examples(
        "migrate grants --service app --reaper app_reaper --readonly support",
        "migrate grants --service app | psql -d app -v ON_ERROR_STOP=1",
    )
)(granting.grants)
migrating.app.command(
    epilog=examples("migrate states service.chats:manager", "migrate states app:chats --max-seconds 600")
)(upgrading.states)
app.command(epilog=examples("reap", "reap --json --max-seconds 300 --grace 7d"))(reaping.reap)
app.command("list", epilog=examples("list --namespace chat --owner u1", "list --limit 0 --json"))(
    sessions.list_sessions
)
app.command(epilog=examples("show --namespace chat 3vVX-9qT", "show --json 3vVX-9qT | jq .state"))(sessions.show)
app.command(epilog=examples("delete --namespace chat 3vVX-9qT"))(sessions.delete)
app.command(epilog=examples("stats", "stats --namespace chat --json"))(sessions.stats)
app.command(epilog=examples("demo", "demo conversations.jsonl --workers 32 --database-url postgresql://app@db/app"))(
    demoing.demo
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sessionstore {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return metadata.version("sessionstore")
    except metadata.PackageNotFoundError:
        return "(a checkout that is not installed)"


@app.callback(epilog=examples("migrate upgrade", "reap --max-seconds 300", "stats"))
def sessionstore(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Keeps the state of conversations in PostgreSQL or SQLite.

    The database is --database-url, else SESSIONSTORE_DATABASE_URL, else the file sessionstore.db in this directory.
    Exit status: 0 done, 1 the work failed, 2 the call was wrong.
    """


def main() -> None:
    """The entry point of the command and of `python -m sessionstore`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An id may hold a character that the terminal's encoding lacks. Such a character is shown escaped.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="sessionstore")
