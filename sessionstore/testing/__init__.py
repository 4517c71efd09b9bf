"""A pytest plugin for tests of a service that keeps sessions. It is loaded by its name.

    pytest_plugins = ["sessionstore.testing"]  # in a conftest.py

docs/testing.md shows the fixtures in the tests of a small service.
"""

from __future__ import annotations

from .capability import Capability
from .clock import ManualClock
from .collecting import *  # noqa: F403  # and its hooks
from .counting import StatementCounter
from .fixtures import *  # noqa: F403  # pytest finds the fixtures of a plugin by their names in its module
from .outage import Outage, interruptible

__all__ = [
    "Capability",
    "ManualClock",
    "Outage",
    "StatementCounter",
    "interruptible",
]
