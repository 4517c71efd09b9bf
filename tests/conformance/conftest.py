from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from ..conftest import Empty
from .emptying import Emptying


@pytest.fixture(autouse=True)
def _unhurried(unhurried_reads: None) -> None:
    """What a read tells of the expiry must not depend on the machine's speed."""


@pytest.fixture(scope="package")
def empty() -> Iterator[Empty]:
    """Ends with this folder: tests of other folders look at all connections to the database."""
    with closing(Emptying()) as emptying:
        yield emptying.empty
