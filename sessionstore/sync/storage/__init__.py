"""Storages for programs without asyncio."""

from __future__ import annotations

from .provider import StorageProvider, reached

__all__ = ["StorageProvider", "reached"]
