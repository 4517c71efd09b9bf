"""See sessionstore/testing/clock.py."""

from __future__ import annotations

from sessionstore.testing.clock import START, ManualClock

__all__ = ["START", "ManualClock"]
