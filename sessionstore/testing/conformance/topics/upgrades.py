"""Upgrades: the functions that make an older state the current one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessionstore import CorruptStateError, StorageProvider

from ...support.documents import draft
from ...support.people import Person, stored, visit
from ..given import Managed


def _raise(state: Any) -> Any:
    raise KeyError(state["secret"])


@pytest.mark.parametrize(
    ("upgrade", "reason", "place"),
    [
        (_raise, r"upgrades\[1\] raised KeyError", "$"),
        (lambda state: {"at": {timedelta}}, r"upgrades\[1\]", "$.at"),
        (lambda state: 5, "does not fit the state type", "$"),
        (lambda state: {"visits": "many"}, "does not fit the state type", "$"),
    ],
)
async def test_a_state_whose_upgrade_fails_is_a_corrupt_state(
    storage: StorageProvider, managed: Managed, upgrade: Callable[[Any], Any], reason: str, place: str
) -> None:
    await storage.create(draft(state='{"secret": "s3cret"}'))
    manager = managed(state_type=Person, state_version=2, upgrades={1: upgrade})
    before = await stored(storage)
    for result in (await manager.get_session("s"), await manager.update_session("s", visit)):
        assert isinstance(result.error, CorruptStateError)
        result.error.__traceback__ = None
        assert "s3cret" not in f"{result.error!r} {result.error.__context__!r} {result.error.__cause__!r}"
        with pytest.raises(CorruptStateError, match=reason):
            result.unwrap()
        assert result.error.path.startswith(place)
        assert result.error.found is None
    assert await stored(storage) == before


async def test_an_upgrade_that_keeps_or_shares_its_document_harms_no_other_call(
    storage: StorageProvider, managed: Managed
) -> None:
    shared: dict[str, Any] = {"n": 0, "turns": []}
    manager = managed(state_version=2, upgrades={1: lambda state: shared})
    await storage.create_many([draft("s"), draft("t")])
    (await manager.get_session("s")).unwrap()["turns"].append("mine")
    await manager.update_session("t", lambda state: state["turns"].append("t"))
    assert shared == {"n": 0, "turns": []}
    assert (await manager.get_session("s")).unwrap() == shared


async def test_a_state_of_an_invalid_version_is_a_corrupt_state(storage: StorageProvider, managed: Managed) -> None:
    await storage.create(draft(state_version=0))
    assert isinstance((await managed().get_session("s")).error, CorruptStateError)
    assert isinstance((await managed(state_version=2, upgrades={1: dict}).get_session("s")).error, CorruptStateError)
