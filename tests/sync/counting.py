"""States that count their updates, so that a test sees what was lost or done twice."""

from __future__ import annotations

from typing import TypeAlias

Counted: TypeAlias = dict[str, int]


def new_count(session_id: str) -> Counted:
    return {"n": 0}


def add_one(state: Counted) -> None:
    state["n"] += 1
