from __future__ import annotations

import pytest

from sessionstore import SqlStorageProvider, StorageProvider, open_storage
from sessionstore.storage import Clock
from sessionstore.testing.conformance import MakeProvider, Saved
from sessionstore.testing.conformance.model.losses import LoseAnswers

from ..model.lost_answers import LostAnswers
from ..support.pgbouncer import PGBOUNCER
from ..support.roles import Deployment
from .on_url import MODELS, OnPreviousRevision, OnUrl, without
from .restoring import saved_database


# tests/model makes the same calls at once, while writes land late and connections are killed.
@without("TestConcurrentCalls")
@pytest.mark.postgresql
class OnServer(OnUrl):
    @pytest.fixture
    def lose_answers(self, monkeypatch: pytest.MonkeyPatch) -> LoseAnswers:
        def lose(storage: StorageProvider) -> LostAnswers:
            assert isinstance(storage, SqlStorageProvider)
            return LostAnswers(storage, monkeypatch)

        return lose

    @pytest.fixture
    def saved(self, url: str) -> Saved:
        return lambda: saved_database(url)


class TestPsycopg(OnServer):
    kind = "postgresql"


# What the following run of the library, TestPsycopg runs too: they are not measured a second time.
@pytest.mark.no_cover
class TestAsyncpg(OnServer):
    kind = "postgresql-asyncpg"


@pytest.mark.no_cover
@without(*MODELS)
class TestRoles(OnServer):
    """Each call by a role that was granted no more than `migrate grants` prints, and without any DDL."""

    kind = "postgresql-roles"

    @pytest.fixture
    def make_provider(self, url: str, roles: Deployment) -> MakeProvider:
        def make(clock: Clock) -> StorageProvider:
            storage = open_storage(url, clock=clock)
            roles.divide(storage, clock)
            return storage

        return make


@pytest.mark.no_cover
class TestPostgreSQLOfThePreviousRevision(OnServer, OnPreviousRevision):
    kind = "postgresql-previous"


# Without the program they are not there, and the summary says so.
if PGBOUNCER is not None:

    @pytest.mark.no_cover
    @without(*MODELS)
    class TestPgBouncer(OnServer):
        kind = "pgbouncer"

    @pytest.mark.no_cover
    @without(*MODELS)
    class TestPgBouncerWithAsyncpg(OnServer):
        kind = "pgbouncer-asyncpg"
