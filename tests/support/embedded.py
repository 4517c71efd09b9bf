"""See sessionstore/testing/embedded.py."""

from __future__ import annotations

from sessionstore.testing.embedded import own_runtime, share_runtime

__all__ = ["own_runtime", "share_runtime"]
