"""A pytest plugin for tests of a service that keeps sessions. It is loaded by its name.

    pytest_plugins = ["sessionstore.testing"]  # in a conftest.py

docs/testing.md shows the fixtures in the tests of a small service.
"""

from __future__ import annotations

from .clock import ManualClock
from .counting import StatementCounter
from .fixtures import *  # noqa: F403  # pytest finds the fixtures of a plugin by their names in its module
from .outage import Outage, interruptible

__all__ = [
    "ManualClock",
    "Outage",
    "StatementCounter",
    "interruptible",
]
