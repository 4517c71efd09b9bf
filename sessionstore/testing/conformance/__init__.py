"""The conformance suite: tests of what every storage provider promises, as a class to inherit. See docs/providers.md.

The tests call SessionManager, as services do, and the StorageProvider protocol itself. Each topic is an operation, or a
kind of content of states and items. Faults that only one database can have are tested elsewhere.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.topics", f"{__name__}.model")

from ..capability import Capability  # noqa: E402  # pytest rewrites the asserts of modules imported from here on
from .given import MakeProvider, Restore, Saved  # noqa: E402
from .suite import ProviderConformance  # noqa: E402

__all__ = ["Capability", "MakeProvider", "ProviderConformance", "Restore", "Saved"]
