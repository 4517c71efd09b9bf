"""See sessionstore.testing.support.documents."""

from sessionstore.testing.support.documents import *  # noqa: F403
