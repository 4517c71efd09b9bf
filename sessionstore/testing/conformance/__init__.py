"""The conformance suite: what every storage provider promises, as a class to inherit. docs/providers.md shows it.

At two levels: through SessionManager, as services see it, and on the StorageProvider protocol itself. A topic is an
operation, or what states and items hold. What only one database can get wrong is tested elsewhere.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.topics", f"{__name__}.model")

from ..capability import Capability  # noqa: E402  # after the registration, which is for the modules that follow
from .given import MakeProvider, Restore, Saved  # noqa: E402
from .suite import ProviderConformance  # noqa: E402

__all__ = ["Capability", "MakeProvider", "ProviderConformance", "Restore", "Saved"]
