"""How long tests of random input look: `SESSIONSTORE_TEST_SCALE=20 make test` makes them try 20 times as much."""

from __future__ import annotations

import os
from typing import Final

SCALE_VARIABLE: Final = "SESSIONSTORE_TEST_SCALE"


def scaled(examples: int) -> int:
    """So many, times the scale."""
    return round(examples * float(os.environ.get(SCALE_VARIABLE, "1")))
