"""Upgrades of documents: their arguments, and what becomes of a document."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import ConfigurationError, SessionManager
from sessionstore.codec.items import ItemCodec
from sessionstore.codec.states import Codec


def _same(document: Any) -> Any:
    return document


async def _later(document: Any) -> Any:
    return document


@pytest.mark.parametrize("noun", ["state", "item"])
@pytest.mark.parametrize(
    ("version", "upgrades", "message"),
    [
        (0, None, "version must be from 1"),
        (-1, None, "version must be from 1"),
        (2**31, None, "version must be from 1"),
        ("2", None, "whole number"),
        (True, None, "whole number"),
        (2.0, None, "whole number"),
        (2, None, "no function for version 1"),
        (2, {}, "no function for version 1"),
        (4, {1: _same, 3: _same}, "no function for version 2"),
        (2**31 - 1, {1: _same}, "no function for version 2"),
        (1, {1: _same}, "for version 1, and"),
        (2, {1: _same, 2: _same}, "for version 2, and"),
        (2, {0: _same, 1: _same}, "for version 0, and"),
        (2, {"1": _same}, "keys"),
        (2, {True: _same}, "keys"),
        (2, {1: "f"}, "plain function"),
        (2, {1: None}, "plain function"),
        (2, {1: _later}, "coroutine"),
        (2, [_same], "dict"),
    ],
)
def test_versions_and_upgrades_that_do_not_fit_are_refused(
    noun: str, version: Any, upgrades: Any, message: str
) -> None:
    prefix = "" if noun == "state" else "item_"
    options: dict[str, Any] = {f"{noun}_version": version, f"{prefix}upgrades": upgrades}
    with pytest.raises(ConfigurationError, match=message) as refusal:
        SessionManager(_same, **options)
    assert f"{noun}_version" in str(refusal.value) or f"{prefix}upgrades" in str(refusal.value)


def test_a_version_without_earlier_ones_needs_no_upgrades() -> None:
    SessionManager(_same, state_version=1, upgrades={}, item_version=1, item_upgrades=None)


def test_upgrades_are_done_in_order_from_the_version_that_was_found() -> None:
    seen: list[int] = []

    def step(number: int) -> Any:
        return lambda document: seen.append(number) or [*document, number]

    codec: Codec[Any] = Codec(None, 1000, version=4, upgrades={n: step(n) for n in (3, 1, 2)})
    assert codec.decode("[]", "s", 1) == [1, 2, 3]
    assert codec.decode("[0]", "s", 3) == [0, 3]
    assert codec.decode("[0]", "s", 4) == [0]
    assert seen == [1, 2, 3, 3]


def test_an_item_may_be_anything_and_none_means_changed_in_place() -> None:
    def in_place(item: Any) -> None:
        if isinstance(item, dict):
            item["new"] = True

    codec: ItemCodec[Any] = ItemCodec(None, 1000, 2, {1: in_place})
    assert codec.decode('{"b":1,"a":2}', 1, "s", 1) == {"b": 1, "a": 2, "new": True}
    assert list(codec.decode('{"b":1,"a":2}', 1, "s", 1)) == ["b", "a", "new"]
    for text, item in (("null", None), ('"\\ud800"', "\ud800"), (str(10**30), 10**30)):
        assert codec.decode(text, 1, "s", 1) == item


def test_an_upgraded_item_is_kept_verbatim() -> None:
    codec: ItemCodec[Any] = ItemCodec(None, 1000, 2, {1: lambda item: {"z": item, "a": "\x00"}})
    assert codec.decode(str(2**70), 1, "s", 1) == {"z": 2**70, "a": "\x00"}
