from __future__ import annotations

from sessionstore.testing.postgres import PostgresServer

from .flood import pour

_DOCUMENTS = 2000
"""`python -m tests.input` pours as many as it is told."""


def test_any_document_comes_back_as_it_was_or_is_refused_with_its_place(server: PostgresServer) -> None:
    with server.fresh_database() as database:
        tallies = pour(database.migrate(), _DOCUMENTS)
    assert list(tallies) == ["memory", "sqlite", "postgresql", "postgresql-asyncpg"]
    for tally in tallies.values():
        assert tally.documents == tally.refused + tally.equal >= _DOCUMENTS
        # Neither is an exception: a flood that was refused as a whole would have tried nothing.
        assert min(tally.refused, tally.equal) > tally.documents / 10
