"""How many random examples tests try. `SESSIONSTORE_TEST_SCALE=20 make test` tries 20 times as many."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

SCALE_VARIABLE: Final = "SESSIONSTORE_TEST_SCALE"


def scaled(examples: int) -> int:
    """Returns the number of examples, times the scale."""
    return round(examples * float(os.environ.get(SCALE_VARIABLE, "1")))


def program(steps: int) -> settings:
    """Returns the settings of the suite's random programs, which have at most this many steps."""
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        max_examples=scaled(12),
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
