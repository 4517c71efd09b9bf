"""Options that several commands share, and opened(), which opens the storage that they name."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..ids import fault_of
from ..storage import StorageProvider
from ..storage.open import open_storage


def _no_fault(name: str | None) -> str | None:
    """Checks a name, because an argument on the command line may hold any bytes but NUL."""
    if name is not None and (fault := fault_of(name)):
        raise typer.BadParameter(fault)
    return name


DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="The database, such as postgresql://app@db/app or sqlite:///file.db. Keep a password in the environment, "
        "where other users do not see it.  [default: $SESSIONSTORE_DATABASE_URL, else the file "
        "sessionstore.db in this directory]",
        show_default=False,
    ),
]
Schema = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="NAME",
        help="The PostgreSQL schema of the tables.  [default: $SESSIONSTORE_SCHEMA, else sessionstore]",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON, for programs.")]
Namespace = Annotated[
    str,
    typer.Option("--namespace", metavar="NS", callback=_no_fault, help="The namespace of the session."),
]
AnyNamespace = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NS", callback=_no_fault, help="Only this namespace.  [default: all]"),
]
Owner = Annotated[str | None, typer.Option("--owner", metavar="ID", callback=_no_fault, help="Only of this owner.")]
Prefix = Annotated[
    str | None,
    typer.Option("--prefix", metavar="TEXT", callback=_no_fault, help="Only ids that start with exactly this."),
]
SessionIdArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID", show_default=False, help="The session's id. Write an id that begins with a dash after --."
    ),
]


def examples(*commands: str) -> str:
    """Formats the examples at the end of a command's help."""
    # The backspace character tells Typer not to wrap the lines.
    return "\b\nExamples:\n" + "\n".join(f"  sessionstore {command}" for command in commands)


def opened(database_url: str | None, schema: str | None, **options: Any) -> StorageProvider:
    """Returns the storage that the options name, for ``async with``.

    Raises:
        ConfigurationError: An option is invalid.
    """
    if schema is not None:
        options["schema"] = schema
    return open_storage(database_url, **options)
