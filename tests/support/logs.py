"""See sessionstore.testing.support.logs."""

from sessionstore.testing.support.logs import *  # noqa: F403
