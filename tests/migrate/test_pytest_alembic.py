"""The tests that pytest-alembic brings along, run by our env.py on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_alembic.config import Config
from pytest_alembic.runner import MigrationContext, runner
from pytest_alembic.tests.default import test_model_definitions_match_ddl as model_definitions_match_ddl
from pytest_alembic.tests.default import test_single_head_revision as single_head_revision
from pytest_alembic.tests.default import test_up_down_consistency as up_down_consistency
from pytest_alembic.tests.default import test_upgrade as upgrade

from sessionstore import migrate
from sessionstore.migrate import alembic_config
from sessionstore.testing.sqlite import sqlite_url


@pytest.fixture(params=["postgresql", "sqlite"])
def migrations(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MigrationContext]:
    """Our migrations of an empty database, as pytest-alembic sees them."""
    url = sqlite_url(tmp_path / "new.db")
    if request.param == "postgresql":
        url = request.getfixturevalue("bare_database").url
    target = migrate.Target.of(url, None)
    with migrate.migrating(target) as connection, alembic_config.alone_with_alembic():
        config = Config(alembic_config=alembic_config.config_of(target, connection=connection))
        # pytest-alembic wants an engine, and only hands it to env.py.
        with runner(config=config, engine=connection) as migrations:
            yield migrations


_PROMISES = [single_head_revision, upgrade, model_definitions_match_ddl, up_down_consistency]


@pytest.mark.parametrize("promise", _PROMISES, ids=lambda promise: promise.__name__)
def test_the_migrations_keep_what_pytest_alembic_tests(
    migrations: MigrationContext, promise: Callable[[MigrationContext], None]
) -> None:
    promise(migrations)
