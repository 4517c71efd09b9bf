"""JSON text as the standard library writes it."""

from __future__ import annotations

import json
from typing import Any


def plain(value: Any) -> str:
    """The text of the value by the standard library."""
    return json.dumps(value)
