"""`sessionstore migrate`: makes, upgrades, compares and drops the tables.

Alembic and SQLAlchemy take half a second to load, so these commands import them when they run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Final

import typer

from .console import fail, say
from .durations import parse_duration
from .faults import CALL_WAS_WRONG
from .options import DatabaseUrl, Schema, examples

BASE: Final = "base"
HEAD: Final = "head"

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, upgrade and compare the tables.")


def _revision_or(*words: str) -> Callable[[str], str]:
    """Makes a check that accepts only names of revisions: "-1" could mean "base" and delete all sessions."""

    def check(revision: str) -> str:
        names = (*words, *_revisions())
        if revision not in names:
            raise typer.BadParameter(f"there is no such revision; name one that this version knows: {', '.join(names)}")
        return revision

    return check


LockTimeout = Annotated[
    timedelta | None,
    typer.Option(
        "--lock-timeout",
        metavar="D",
        parser=parse_duration,
        help="How long to wait for other migrations, and for whoever uses the tables: 90s, 15m, 1h30m; a plain number "
        "is seconds. Each try blocks other users of the tables for 2 seconds at most. It says on stderr whom it waits "
        "for.  [default: 5m; 30s for a SQLite file]",
    ),
]


@app.command(
    epilog=examples(
        "migrate upgrade",
        "migrate upgrade --lock-timeout 30s",
        "migrate upgrade --database-url postgresql://app@db/app --schema chat",
    )
)
def upgrade(
    revision: Annotated[
        str,
        typer.Argument(metavar="REVISION", callback=_revision_or(HEAD), help="Up to which revision."),
    ] = HEAD,
    lock_timeout: LockTimeout = None,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Makes or upgrades the tables.

    May be run again, and from many pods at once.
    """
    from .. import migrate

    with _telling():
        migrate.upgrade(database_url, schema=schema, revision=revision, lock_timeout=lock_timeout)
    _say_revision(database_url, schema)


@app.command(epilog=examples("migrate downgrade 0001", "migrate downgrade base --yes"))
def downgrade(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="REVISION",
            callback=_revision_or(BASE),
            show_default=False,
            help='The revision to go back to; "base": before the first one.',
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before all sessions are deleted.")] = False,
    lock_timeout: LockTimeout = None,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Takes the tables back to an earlier revision, and deletes what later revisions added.

    "0001" deletes every item and keeps the sessions. "base" takes back all revisions and deletes every session.
    """
    from .. import migrate

    if revision == BASE and not yes:
        if not sys.stdin.isatty():
            fail(
                "this deletes the tables with all sessions; there is no terminal to confirm it on, so add --yes",
                CALL_WAS_WRONG,
            )
        _confirm("this deletes the tables with all sessions; type yes to go on: ")
    if revision != BASE:
        _refuse_going_up(migrate.current(database_url, schema=schema), revision)
    with _telling():
        migrate.downgrade(database_url, schema=schema, revision=revision, lock_timeout=lock_timeout)
    _say_revision(database_url, schema)


@app.command(epilog=examples("migrate current --database-url sqlite:///file.db"))
def current(database_url: DatabaseUrl = None, schema: Schema = None) -> None:
    """Prints the revision of the tables.

    It is "base" where there are no tables.
    """
    from .. import migrate

    typer.echo(migrate.current(database_url, schema=schema) or BASE)


@app.command(
    epilog=examples(
        "migrate sql --database-url postgresql://app@db/app > tables.sql",
        "migrate sql --from 0001 --to 0002 --database-url postgresql://app@db/app > upgrade.sql",
        "migrate sql --from 0002 --to 0001 --database-url postgresql://app@db/app > rollback.sql",
    )
)
def sql(
    revision: Annotated[
        str,
        typer.Argument(metavar="[REVISION]", callback=_revision_or(HEAD), help="The same as --to."),
    ] = HEAD,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="REV", callback=_revision_or(BASE, HEAD), help='Where the tables are; "base": none yet.'
        ),
    ] = BASE,
    goal: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="REV",
            callback=_revision_or(BASE, HEAD),
            help="The revision to go to. A revision before --from takes revisions back.",
        ),
    ] = HEAD,
    database_url: DatabaseUrl = None,
    schema: Schema = None,
) -> None:
    """Prints the SQL that makes, upgrades or takes back the tables.

    Run the SQL by hand. It is one transaction, which fails and changes nothing if the tables are not at --from. This
    command connects to no database: the URL only says which kind of database the SQL is for.
    """
    from .. import migrate

    if HEAD not in (revision, goal):
        fail("the revision is given twice; give it once, with or without --to", CALL_WAS_WRONG)
    to = goal if revision == HEAD else revision
    typer.echo(migrate.sql(database_url, schema=schema, revision=to, from_revision=start), nl=False)


def _revisions() -> Sequence[str]:
    from ..storage.sql.tables import REVISIONS

    return REVISIONS


@contextmanager
def _telling() -> Generator[None]:
    """Shows the log messages of a migration on stderr. They say what the migration waits for."""
    logger = logging.getLogger("sessionstore.migrate")
    handler = _Said()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _confirm(question: str) -> None:
    # Not typer.confirm(), which writes a space to stdout.
    typer.echo(question, nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        fail("nothing was deleted")


def _refuse_going_up(found: str | None, revision: str) -> None:
    revisions = _revisions()
    # If this version does not know the revision found, the migration fails with a better message.
    if found is None or (found in revisions and revisions.index(found) < revisions.index(revision)):
        fail(f"the database is at {found or BASE}, before {revision}: there is nothing to take back")


def _say_revision(database_url: str | None, schema: str | None) -> None:
    from .. import migrate

    # Without a URL from the user, the message names the default file, because the user may have meant another database.
    named = database_url is not None or "SESSIONSTORE_DATABASE_URL" in os.environ
    place = "the database" if named else migrate.Target.of(None, schema).place
    say(f"{place} is at revision {migrate.current(database_url, schema=schema) or BASE}")
