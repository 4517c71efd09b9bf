"""See sessionstore.testing.support.any_type."""

from sessionstore.testing.support.any_type import *  # noqa: F403
