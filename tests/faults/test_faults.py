"""The short form of `make soak`: each fault a few times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .faults import SOAKS
from .server import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.mark.parametrize("kind", SOAKS)
async def test_no_write_is_lost_or_doubled(cluster: Cluster, kind: str) -> None:
    rows = await SOAKS[kind].run(cluster, SOAKS[kind].short)
    assert [complaint for row in rows for complaint in row.complaints()] == []
    assert all(row.acknowledged for row in rows)
