"""Sessions in the memory of this process."""

from __future__ import annotations

from .provider import MemoryStorageProvider

__all__ = ["MemoryStorageProvider"]
