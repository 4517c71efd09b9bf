"""Reads the revision of the tables, and compares them with those that this version needs."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ..errors import SchemaError
from ..storage.sql.revisions import only_adds
from ..storage.sql.tables import REVISIONS
from .alembic_config import context_of
from .connection import connected
from .faults import guarded
from .indexes import invalid_indexes
from .target import Target


def current(url: str | None = None, *, schema: str | None = None) -> str | None:
    """The revision of the database; None: it has no tables of sessionstore.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)

    def read() -> str | None:
        with connected(target) as connection:
            return revision_of(context_of(connection, target), target)

    return guarded(target, "reading the revision", read)


def check(url: str | None = None, *, schema: str | None = None) -> None:
    """Compares the tables with those that this version needs. Changes nothing.

    Does not compare the tables of a newer revision that this version works with.

    Raises:
        SchemaError: The database is at another revision, or its tables differ from those of the revision.
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)
    guarded(target, "comparing the tables", lambda: _compare(target, REVISIONS[-1]))


def _compare(target: Target, wanted: str) -> None:
    with connected(target) as connection:
        context = context_of(connection, target)
        found = revision_of(context, target)
        if only_adds(found):
            return
        if found != wanted:
            known = found is None or found in REVISIONS
            remedy = f"run `sessionstore migrate upgrade{target.option}`" if known else "upgrade sessionstore"
            seen = "has no sessionstore tables" if found is None else f"is at revision {found}"
            raise SchemaError(
                f"{target.place} {seen}, and this version of sessionstore wants revision {wanted}; {remedy}",
                found=found,
                wanted=wanted,
            )
        if invalid := invalid_indexes(connection, target):
            raise SchemaError(
                f"{target.place} has indexes that are invalid, because a build did not end: {', '.join(invalid)}; run "
                f"`sessionstore migrate upgrade{target.option}`",
                found=found,
                wanted=wanted,
            )
        if differences := compare_metadata(context, target.metadata()):
            raise SchemaError(
                f"the tables in {target.place} differ from revision {wanted} in {len(differences)} place(s): another "
                "program changed them",
                found=found,
                wanted=wanted,
            )


def revision_of(context: MigrationContext, target: Target) -> str | None:
    """The revision of the database; None: it has no tables of sessionstore.

    Raises:
        SchemaError: The version table has several rows.
    """
    heads = context.get_current_heads()
    if len(heads) > 1:
        raise SchemaError(
            f"{target.place} has {len(heads)} rows in its table {target.version_table!r}, which must have exactly one; "
            "delete the wrong ones",
            found=None,
            wanted=REVISIONS[-1],
        )
    return heads[0] if heads else None
