"""Everything here runs on memory, unless a test says otherwise, and in an environment without settings."""

from __future__ import annotations

from tests.support.on_memory import chats, no_settings, provider_kind

__all__ = ["chats", "no_settings", "provider_kind"]
