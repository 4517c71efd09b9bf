"""Reads the revision of the tables, and compares the tables with those that this version needs."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from ..errors import SchemaError
from ..storage.records import Use, check_use
from ..storage.sql.privileges import LACKING, NEEDS, grants, missing_grants
from ..storage.sql.revisions import only_adds
from ..storage.sql.structure import parts, structure
from ..storage.sql.tables import REVISIONS
from .alembic_config import context_of
from .comparison import Comparison, differences
from .connection import connected
from .faults import guarded
from .indexes import invalid_indexes
from .target import Target


def current(url: str | None = None, *, schema: str | None = None) -> str | None:
    """Returns the revision of the database; None: the database has no tables of sessionstore.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    target = Target.of(url, schema)

    def read() -> str | None:
        with connected(target) as connection:
            return revision_of(context_of(connection, target), target)

    return guarded(target, "reading the revision", read)


def check(url: str | None = None, *, schema: str | None = None, use: Use = "service") -> None:
    """Compares the tables with those that this version needs, and the role's privileges with those that its use needs.

    Changes nothing. Does not compare the tables of a newer revision that this version works with.

    Args:
        url: The database; None: ``SESSIONSTORE_DATABASE_URL``, else the default SQLite file.
        schema: The PostgreSQL schema; None: ``SESSIONSTORE_SCHEMA``, else "sessionstore".
        use: The use of the role. A reaper and a reader need fewer privileges than a service.

    Raises:
        SchemaError: The database is at another revision, or its tables differ from those of the revision.
        StorageError: The role lacks a privilege. Or the database failed or could not be reached.
    """
    if (error := compare(url, schema=schema, use=use).error) is not None:
        raise error


def compare(url: str | None = None, *, schema: str | None = None, use: Use = "service") -> Comparison:
    """Compares as check() does, and returns the result instead of raising an error.

    Raises:
        StorageError: The database failed or could not be reached.
    """
    check_use(use)
    target = Target.of(url, schema)

    def run() -> Comparison:
        with connected(target) as connection:
            return _privileges(connection, target, use) or _compared(connection, target)

    return guarded(target, "comparing the tables", run)


def _privileges(connection: Connection, target: Target, use: Use) -> Comparison | None:
    """Returns the result if the role lacks privileges. None: it lacks none, and so may read the revision too."""
    if target.schema is None:
        return None
    rows = connection.execute(text(LACKING), {"schema": target.schema, "use": use}).all()
    if not rows:
        return None
    needs, role = [NEEDS[use][int(row[1])] for row in rows], str(rows[0][0])
    remedy = "; ".join(grants(needs, schema=target.schema, role=role))
    return Comparison.failed(missing_grants(needs, schema=target.schema, role=role), command=f"{remedy};")


def _compared(connection: Connection, target: Target) -> Comparison:
    context = context_of(connection, target)
    found, wanted = revision_of(context, target), REVISIONS[-1]
    if only_adds(found):
        return Comparison(found)
    upgrade = f"sessionstore migrate upgrade{target.option}"
    if found != wanted:
        known = found is None or found in REVISIONS
        remedy = f"run `{upgrade}`" if known else "upgrade sessionstore"
        seen = "has no sessionstore tables" if found is None else f"is at revision {found}"
        words = f"{target.place} {seen}, and this version of sessionstore wants revision {wanted}; {remedy}"
        error = SchemaError(words, found=found, wanted=wanted)
        return Comparison.failed(error, command=upgrade if known else None)
    if invalid := invalid_indexes(connection, target):
        words = f"{target.place} has indexes that are invalid, because a build did not end: {', '.join(invalid)}"
        error = SchemaError(f"{words}; run `{upgrade}`", found=found, wanted=wanted)
        return Comparison.failed(error, command=upgrade, problems=[f"invalid index: {name}" for name in invalid])
    problems = list(differences(compare_metadata(context, target.metadata())))
    there = connection.execute(parts(target.schema)).all()
    problems += [problem for problem in structure(sqlite=target.schema is None).problems(there) if "trigger" in problem]
    if problems:
        words = f"the tables in {target.place} differ from revision {wanted}: another program changed them"
        error = SchemaError(f"{words} ({'; '.join(problems)}); undo these changes", found=found, wanted=wanted)
        return Comparison.failed(error, problems=problems)
    return Comparison(found)


def revision_of(context: MigrationContext, target: Target) -> str | None:
    """Returns the revision of the database; None: the database has no tables of sessionstore.

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
