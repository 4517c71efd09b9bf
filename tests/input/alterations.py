"""What a hand may do to a row, in the words of each database, and how to do it past the library."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import psycopg
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from sessionstore.testing.clock import START

VICTIM: Final = "victim"

# Which an access may move, and must not in a row that is left as it is.
_FACTS: Final = (
    "state",
    "origin",
    "owner_id",
    "version",
    "ttl",
    "writes",
    "keys",
    "created_at",
    "updated_at",
    "deadline",
)

_JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n", "turns", "", "x"]), inner),
    max_leaves=5,
)
_TEXTS: Final = st.sampled_from(
    [
        "null",
        "[]",
        "{}",
        '"x"',
        "1",
        "-0.0",
        "true",
        '{"n": 1e400}',
        '{"n": 1, "n": "x"}',
        '{"n": "x"}',
        '{"turns": []}',
    ]
    + ['{"n": 1, "turns": null}', '{"n": 99999999999999999999}', '{"n": 1, "turns": ["\\ud800"]}', ' {"n": 3} ']
    + ['{"n": ' + "[" * levels + "]" * levels + "}" for levels in (150, 300, 900, 3000)]
)
_DOCUMENTS: Final = _TEXTS | _JSON.map(json.dumps)


class Hand(Protocol):
    """Somebody at the database, without the library.

    Attributes:
        refusals: What the database says to what it does not take.
        literals: What may be written to each column, as SQL.
    """

    refusals: tuple[type[Exception], ...]
    literals: Mapping[str, st.SearchStrategy[str]]

    def alter(self, namespace: str, values: Mapping[str, str]) -> None:
        """Writes to the victim's row."""
        ...

    def row(self, namespace: str) -> tuple[Any, ...] | None:
        """The victim's row, but for what an access moves, as the database shows it."""
        ...

    def state(self, namespace: str) -> str:
        """The text of the victim's state."""
        ...

    def close(self) -> None: ...


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS: Final = [
    START,
    START + timedelta(microseconds=1),
    START - timedelta(microseconds=1),
    START + timedelta(minutes=30),
    START + timedelta(days=400),
    START - timedelta(days=1),
]
_LONG: Final = ["1000000000 days", "infinity", "-infinity", "8000 years", "300 days 25:00"]
_JOURNALS: Final = st.sampled_from(["", "x", "z" * 12, "-" * 192, "\u00e4" * 24, "x" * 100_000]).map(_text)
_OWNERS: Final = st.sampled_from(["", " ", "\n", "x" * 5000, "\U0001f600", "o'"]).map(_text) | st.just("NULL")
_VERSIONS: Final = st.sampled_from([0, 1, -1, 2**53, 2**62, 2**63 - 1, 2**63 - 2, -(2**63) + 1]).map(str)


def _columns(
    document: st.SearchStrategy[str], instant: st.SearchStrategy[str], ttl: st.SearchStrategy[str]
) -> Mapping[str, st.SearchStrategy[str]]:
    nothing = st.just("NULL")
    return {
        "state": document,
        "origin": document | nothing,
        "owner_id": _OWNERS,
        "version": _VERSIONS,
        "ttl": ttl | nothing,
        "writes": _JOURNALS,
        "keys": _JOURNALS,
        "created_at": instant,
        "updated_at": instant,
        "last_accessed_at": instant,
        "expires_at": instant | nothing,
        "deadline": instant | nothing,
    }


def alterations(hand: Hand) -> st.SearchStrategy[Mapping[str, str]]:
    """What is written to which columns, to one of them or to a few."""
    one = st.sampled_from(sorted(hand.literals)).flatmap(
        lambda column: hand.literals[column].map(lambda literal: (column, literal))
    )
    return st.lists(one, min_size=1, max_size=3).map(dict)


class PostgreSQLHand:
    """psql."""

    refusals: tuple[type[Exception], ...] = (psycopg.DataError, psycopg.IntegrityError, psycopg.OperationalError)
    literals = _columns(
        _DOCUMENTS.map(lambda text: f"{_text(text)}::jsonb"),
        st.sampled_from(
            ["infinity", "-infinity", "294276-12-31", "10000-01-01", "9999-12-31 23:59:59.999999+00"]
            + ["4713-01-01 BC", "0001-01-01 00:00:00+00", "0001-06-01 BC", "1969-12-31"]
            + [moment.isoformat() for moment in _MOMENTS]
        ).map(_text),
        st.sampled_from(
            ["-1 second", "0", "1 microsecond", "178000000 years", "-178000000 years", "1 month", *_LONG]
        ).map(_text),
    )

    def __init__(self, url: str) -> None:
        parsed = make_url(url).set(drivername="postgresql")
        self._connection = psycopg.connect(parsed.render_as_string(hide_password=False), autocommit=True)

    def alter(self, namespace: str, values: Mapping[str, str]) -> None:
        assignments = ", ".join(f'"{column}" = {literal}' for column, literal in values.items())
        where = f"namespace = {_text(namespace)} AND session_id = {_text(VICTIM)}"
        self._connection.execute(f"UPDATE sessionstore.sessions SET {assignments} WHERE {where}".encode())

    def row(self, namespace: str) -> tuple[Any, ...] | None:
        facts = ", ".join(f'"{column}"::text' for column in _FACTS)
        where = f"namespace = {_text(namespace)} AND session_id = {_text(VICTIM)}"
        return self._connection.execute(f"SELECT {facts} FROM sessionstore.sessions WHERE {where}".encode()).fetchone()

    def state(self, namespace: str) -> str:
        row = self.row(namespace)
        assert row is not None
        return str(row[_FACTS.index("state")])

    def close(self) -> None:
        self._connection.close()


class SQLiteHand:
    """The sqlite3 shell."""

    refusals: tuple[type[Exception], ...] = (sqlite3.IntegrityError, sqlite3.OperationalError)
    literals = _columns(
        _DOCUMENTS.map(_text) | st.just("CAST(x'22ff22' AS TEXT)"),
        st.sampled_from(
            [0, -1, 2**63 - 1, -(2**63) + 1, 253402300799999999, 253402300800000000, -62135596800000001]
            + [(moment - _EPOCH) // timedelta(microseconds=1) for moment in _MOMENTS]
        ).map(str),
        st.sampled_from([-1, 0, 1, 2**63 - 1, -(2**63) + 1, 10**17]).map(str),
    )

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def alter(self, namespace: str, values: Mapping[str, str]) -> None:
        assignments = ", ".join(f'"{column}" = {literal}' for column, literal in values.items())
        where = f"namespace = {_text(namespace)} AND session_id = {_text(VICTIM)}"
        self._connection.execute(f"UPDATE sessions SET {assignments} WHERE {where}")

    def row(self, namespace: str) -> tuple[Any, ...] | None:
        facts = ", ".join(f'typeof("{column}"), hex("{column}")' for column in _FACTS)
        where = f"namespace = {_text(namespace)} AND session_id = {_text(VICTIM)}"
        row: tuple[Any, ...] | None = self._connection.execute(f"SELECT {facts} FROM sessions WHERE {where}").fetchone()
        return row

    def state(self, namespace: str) -> str:
        row = self.row(namespace)
        assert row is not None
        return bytes.fromhex(row[2 * _FACTS.index("state") + 1]).decode()

    def close(self) -> None:
        self._connection.close()
