"""How long tests of random input look: `SESSIONSTORE_TEST_SCALE=20 make test` makes them try 20 times as much."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

SCALE_VARIABLE: Final = "SESSIONSTORE_TEST_SCALE"


def scaled(examples: int) -> int:
    """So many, times the scale."""
    return round(examples * float(os.environ.get(SCALE_VARIABLE, "1")))


def program(steps: int) -> settings:
    """The settings of the random programs of the conformance suite: how many programs, of at most so many steps."""
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        max_examples=scaled(12),
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
