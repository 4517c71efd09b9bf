from __future__ import annotations

from tests.support.on_memory import no_settings

__all__ = ["no_settings"]
