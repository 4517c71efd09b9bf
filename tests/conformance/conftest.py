from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _unhurried(unhurried_reads: None) -> None:
    """What a read tells of the expiry must not depend on the machine's speed."""
