"""See sessionstore.testing.support.scale."""

from sessionstore.testing.support.scale import *  # noqa: F403
