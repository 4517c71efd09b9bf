"""`sessionstore demo`: replays conversations and prints the outcome."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .. import demo as playing
from ..demo.expiry import LONG_AGO
from ..demo.replaying import DEFAULT_WORKERS
from ..demo.service import TTL
from ..storage import StorageProvider
from .console import fail, print_facts, progress, say
from .durations import shown_duration
from .options import Schema, opened

_SHOWN_FAULTS = 10


def demo(
    dialogues: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIALOGUES.jsonl",
            exists=True,
            dir_okay=False,
            readable=True,
            show_default=False,
            help="Conversations in the format of the Schema-Guided Dialogue dataset, one a line.  [default: those that "
            "come with the package]",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="How many turns run at once.")
    ] = DEFAULT_WORKERS,
    database_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            show_default=False,
            help="A migrated database to replay into. Other sessions there are not touched.  [default: a temporary "
            "SQLite file]",
        ),
    ] = None,
    schema: Schema = None,
) -> None:
    """Replays conversations and checks every one.

    Workers run the turns of all conversations concurrently, and the turns of each conversation in order. A conversation
    has two sessions, one for its turns, which are its items, and one for its orchestration. Up to four concurrent
    updates store a turn. Then all sessions expire and are reaped.

    Ends with status 1 if an update is lost or a session differs from its transcript.
    """
    conversations = playing.load(playing.shipped() if dialogues is None else dialogues)
    if database_url is not None:
        ok = asyncio.run(_play(conversations, workers, database_url, schema))
    else:
        with _embedded() as url:
            ok = asyncio.run(_play(conversations, workers, url, None))
    if not ok:
        fail("updates were lost, or sessions differ from their transcripts; see the lines above")


@contextmanager
def _embedded() -> Generator[str]:
    # Imported here, because it loads Alembic, which only this command and `migrate` need.
    from .. import migrate

    with tempfile.TemporaryDirectory(prefix="sessionstore-demo-") as directory:
        url = f"sqlite+aiosqlite:///{Path(directory) / 'demo.db'}"
        migrate.upgrade(url)
        say("the sessions are in a temporary SQLite file; --database-url names another database")
        yield url


async def _play(conversations: Sequence[playing.Dialogue], workers: int, database_url: str, schema: str | None) -> bool:
    clock = playing.DemoClock()
    async with opened(database_url, schema, clock=clock) as storage:
        total = sum(len(conversation.turns) for conversation in conversations)
        with progress("replaying", total, "turns") as advance:
            report = await playing.replay(conversations, storage, workers=workers, on_turn=advance)
        _print_report(report, workers)
        return await _expire(storage, clock, report) and report.ok


def _print_report(report: playing.Report, workers: int) -> None:
    for comparison in report.differing[:_SHOWN_FAULTS]:
        say(f"session {comparison.dialogue_id}: {'; '.join(comparison.faults)}")
    print_facts(
        [
            ("sessions", report.sessions),
            ("turns", report.turns),
            ("workers", workers),
            ("seconds", f"{report.seconds:.2f}"),
            ("turns/s", round(report.turns / report.seconds)),
            ("updates", report.updates),
            ("written in statements", report.statements),
            ("conflicts resolved", report.conflicts),
            ("lost updates", report.lost),
            ("sessions that differ from their transcript", len(report.differing)),
        ]
    )


async def _expire(storage: StorageProvider, clock: playing.DemoClock, report: playing.Report) -> bool:
    expiry = await playing.expire(storage, clock, report.namespaces)
    typer.echo()
    typer.echo(
        f"Then the demo moved the last access of all {expiry.sessions:,} sessions (two a conversation) to "
        f"{LONG_AGO:%Y-%m-%d}, through the clock that it gave to the storage. Their time to live is "
        f"{shown_duration(TTL)}."
    )
    print_facts(
        [
            ("found by get once expired", expiry.found),
            ("sessions deleted by the reaper", expiry.reaped),
            ("sessions left", expiry.left),
        ]
    )
    return expiry.ok
