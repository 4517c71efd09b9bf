"""Short functions that read the items of a manager's result."""

from __future__ import annotations

from typing import Any

from sessionstore import SessionResult


def data(result: SessionResult[Any, Any]) -> list[Any]:
    assert result.error is None, result.error
    return [item.data for item in result.items]


def positions(result: SessionResult[Any, Any]) -> list[int]:
    assert result.error is None, result.error
    return [item.position for item in result.items]
