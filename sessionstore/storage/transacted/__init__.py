"""A building block for providers: all calls of a storage, done by one method that the provider writes."""

from __future__ import annotations

from .provider import TransactedStorageProvider
from .sessions import Sessions

__all__ = ["Sessions", "TransactedStorageProvider"]
