"""`sessionstore migrate states`: writes older states and items of a service's manager in their current shape."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from ..calls.reshaping import DEFAULT_BATCH_SIZE, UpgradeReport
from ..errors import ConfigurationError
from ..manager import SessionManager
from ..storage.memory import MemoryStorageProvider
from ..sync.manager import SessionManager as SyncSessionManager
from .console import print_json, progress, say
from .durations import parse_duration
from .faults import WORK_FAILED
from .options import AsJson

_MAX_BATCH_SIZE = 10_000


def states(
    manager: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:MANAGER",
            show_default=False,
            help="Where the service keeps its SessionManager, or a function without arguments that returns it. The "
            "module is also looked for in this directory.",
        ),
    ],
    batch_size: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=_MAX_BATCH_SIZE, help="How many states or items to write at a time."),
    ] = DEFAULT_BATCH_SIZE,
    max_seconds: Annotated[
        timedelta | None,
        typer.Option(
            metavar="S", parser=parse_duration, help="Begin no further batch after this time.  [default: no limit]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Writes older states and items in their current shape.

    In batches, beside the service; run it again to go on after a stop. The database is the manager's.

    Ends with status 1 if something could not be upgraded, or the time was up.
    """
    found = _found(manager)
    report = asyncio.run(_upgraded(found, batch_size, max_seconds))
    if as_json:
        counts = {name: getattr(report, name) for name in ("states", "items", "misfits", "held", "complete")}
        print_json(counts)
    else:
        typer.echo(f"rewrote {report.states:,} states and {report.items:,} items")
    if report.misfits:
        say(f"{report.misfits:,} could not be upgraded, and stay as they are; mend the upgrades and run this again")
    if report.held:
        say(f"{report.held:,} were held or written by others all the time; run this again")
    if not report.complete:
        say("the time was up; run this again to go on")
    if report.misfits or report.held or not report.complete:
        raise typer.Exit(WORK_FAILED)


async def _upgraded(found: Any, batch_size: int, time_budget: timedelta | None) -> UpgradeReport:
    made = found if isinstance(found, SessionManager | SyncSessionManager) else found()
    manager = await made if inspect.isawaitable(made) else made
    if isinstance(manager, SyncSessionManager):
        manager = manager.asynchronous
    if not isinstance(manager, SessionManager):
        raise ConfigurationError(f"MODULE:MANAGER leads to a {type(manager).__name__}, and not to a SessionManager")
    storage = manager._storage  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if isinstance(storage, MemoryStorageProvider):
        raise ConfigurationError("the manager keeps its sessions in the memory of its process: nothing to migrate")
    namespace = manager._namespace  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    async with storage:
        live = sum(count.live for count in await storage.stats(namespace))
        # How many of them are older is not known. Those that are not are passed over in the database.
        with progress("rewriting", live, "states") as advance:

            def show(report: UpgradeReport) -> None:
                advance(report.states + report.items + report.misfits)
                for error in report.errors:
                    say(str(error))

            return await manager.upgrade_states(batch_size=batch_size, time_budget=time_budget, on_batch=show)


def _found(place: str) -> Any:
    """The manager, or the function that makes it.

    Raises:
        ConfigurationError: There is none.
    """
    module, _, path = place.partition(":")
    if not module or not path:
        raise ConfigurationError(f"{place!a:.200} is not of the form MODULE:MANAGER, such as service.chats:manager")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  # a path for the interpreter
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and one that it imports is not
        found = None
    if found is None:
        raise ConfigurationError(f"there is no module {module!a:.200}, neither installed nor in this directory")
    for name in path.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f"the module {module!a:.200} has no {path!a:.200}")
        found = getattr(found, name)
    if not isinstance(found, SessionManager | SyncSessionManager) and not callable(found):
        raise ConfigurationError(
            f"{place!a:.200} is a {type(found).__name__}, and neither a SessionManager nor a function that returns one"
        )
    return found
