"""The tests of this folder run on memory unless they say otherwise, and without settings from the environment."""

from __future__ import annotations

from tests.support.on_memory import chats, no_settings, provider_kind

__all__ = ["chats", "no_settings", "provider_kind"]
