from __future__ import annotations

import pytest

from tests.support.opening import WAYS


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way to open a storage."""
    return str(request.param)
