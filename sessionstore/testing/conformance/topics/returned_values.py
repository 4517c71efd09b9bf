"""Returned values: if the last expression of an update function has a value, the value does not become the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from sessionstore import InvalidStateError, ReplaceState

from ...support.documents import Chat
from ..given import Managed


def new_basket(_: str) -> Chat:
    return {
        "id": 1,
        "items": [{"sku": "a"}, {"sku": "b"}],
        "user": {"name": "u", "id": 2},
        "tags": ["x", "y"],
        "none": {},
        "seen": None,
    }


def new_log(_: str) -> Any:
    return [{"said": "a"}, ["b"], {"said": "c"}, [], [1, 2]]


def popped_and_changed(state: Chat) -> Any:
    user = state.pop("user")
    user["seen"] = True
    return user


def only_user(_: str) -> Chat:
    return {"user": {"name": "u"}}


def only_id_beside_user(_: str) -> Chat:
    return {"id": 1, "user": {"id": 2, "name": "u"}}


# The functions that make a state, and update functions whose returned value is not meant as the state.
NOT_MEANT: dict[str, tuple[Callable[[str], Any], Callable[[Any], Any]]] = {
    "popped item": (new_basket, lambda s: s["items"].pop()),
    "popped text": (new_basket, lambda s: s["tags"].pop()),
    "popped object": (new_basket, lambda s: s.pop("user")),
    "popped empty object": (new_basket, lambda s: s.pop("none")),
    "popped array": (new_basket, lambda s: s.pop("items")),
    "popped and changed": (new_basket, popped_and_changed),
    "popped and changed, with the keys that are left": (only_id_beside_user, popped_and_changed),
    "popped only member": (only_user, lambda s: s.pop("user")),
    "popped pair": (new_basket, lambda s: s.popitem()),
    "default that was set": (new_basket, lambda s: s.setdefault("new", {})),
    "default that was there": (new_basket, lambda s: s.setdefault("user", {})),
    "inner object": (new_basket, lambda s: s["user"]),
    "inner object, after a change": (new_basket, lambda s: s.update(n=1) or s["user"]),
    "inner inner object": (new_basket, lambda s: s["items"][0]),
    "length": (new_basket, lambda s: len(s["items"])),
    "whether": (new_basket, lambda s: "id" in s),
    "keys": (new_basket, sorted),
    "tuple": (new_basket, lambda s: (s, 1)),
    "text": (new_basket, lambda s: "done"),
    "empty object, after a change": (new_basket, lambda s: s.update(n=1) or {}),
    "popped array of an array": (new_log, lambda s: s.pop()),
    "popped empty array of an array": (new_log, lambda s: s.pop(3)),
    "popped object of an array": (new_log, lambda s: s.pop(0)),
    "inner array": (new_log, lambda s: s[1]),
    "count of an array": (new_log, lambda s: s.append("x") or len(s)),
    "empty array, after a change": (new_log, lambda s: s.append("x") or []),
}


@pytest.mark.parametrize(("new", "update"), list(NOT_MEANT.values()), ids=list(NOT_MEANT))
async def test_a_returned_value_that_is_no_state_is_refused_and_the_message_says_what_to_do(
    managed: Managed, new: Callable[[str], Any], update: Callable[[Any], Any]
) -> None:
    baskets = managed(default_state=new)
    before = await baskets.create_session("s")
    refused = await baskets.update_session("s", update)
    assert isinstance(refused.error, InvalidStateError)
    assert (refused.success, refused.data, refused.applied, refused.error.path) == (False, None, False, "$")
    assert "return None" in str(refused.error)
    assert "ReplaceState" in str(refused.error)
    after = await baskets.get_session("s")
    assert (after.data, after.version) == (new("s"), before.version)
    # The next update begins with the stored state, not with the copy that the refused update changed.
    assert (await baskets.update_session("s", lambda _: None)).data == new("s")


@pytest.mark.parametrize(("new", "update"), list(NOT_MEANT.values()), ids=list(NOT_MEANT))
async def test_replace_state_makes_any_value_the_state(
    managed: Managed, new: Callable[[str], Any], update: Callable[[Any], Any]
) -> None:
    baskets = managed(default_state=new)
    await baskets.create_session("s")
    if type(update(new("s"))) is tuple:
        refused = await baskets.update_session("s", lambda state: ReplaceState(update(state)))
        assert isinstance(refused.error, InvalidStateError)
        return
    updated = await baskets.update_session("s", lambda state: ReplaceState(update(state)))
    assert updated.unwrap() == update(new("s"))
    assert (await baskets.get_session("s")).unwrap() == update(new("s"))


def changed(state: Chat) -> Chat:
    state["id"] += 1
    return state


def changed_without_user(state: Chat) -> Chat:
    state["id"] += 1
    return {key: member for key, member in state.items() if key != "user"}


MEANT: dict[str, tuple[Callable[[str], Any], Callable[[Any], Any]]] = {
    "given one": (new_basket, changed),
    "nothing": (new_basket, lambda s: s.update(n=1)),
    "copy with another value": (new_basket, lambda s: {**s, "id": 5}),
    "copy with one key more": (new_basket, lambda s: s | {"m": 1}),
    "copy with one key less": (new_basket, lambda s: {key: s[key] for key in s if key != "user"}),
    "wholly new": (new_basket, lambda s: {"new": len(s["items"])}),
    "empty": (new_basket, lambda s: {}),
    "copy of an inner one": (new_basket, lambda s: dict(s["user"])),
    "changed, then copied": (new_basket, lambda s: dict(changed(s))),
    "changed, then copied with another value": (new_basket, lambda s: {**changed(s), "m": 1}),
    "changed, then copied with one key less": (new_basket, changed_without_user),
    "changed, then wrapped": (new_basket, lambda s: {"version": 2, "was": changed(s)}),
    "cleared": (new_basket, lambda s: s.clear() or {}),
    "newest of an array": (new_log, lambda s: s.append("x") or s[-2:]),
    "array and another one": (new_log, lambda s: s.append("x") or [*s, "y"]),
    "summary and the newest": (new_log, lambda s: s.append("x") or ["summary", *s[-2:]]),
    "array turned": (new_log, lambda s: s.append("x") or s[::-1]),
    "array of others": (new_log, lambda s: [len(s)]),
    "scalar to object": (lambda _: 5, lambda s: {"n": s}),
    "scalar to array": (lambda _: "text", lambda s: [s]),
    "scalar to scalar": (lambda _: True, lambda s: 1.5),
}


@pytest.mark.parametrize(("new", "update"), list(MEANT.values()), ids=list(MEANT))
async def test_a_new_state_made_of_the_old_one_is_accepted(
    managed: Managed, new: Callable[[str], Any], update: Callable[[Any], Any]
) -> None:
    baskets = managed(default_state=new)
    await baskets.create_session("s")
    expected = new("s")
    returned = update(expected)
    expected = expected if returned is None else returned
    assert (await baskets.update_session("s", update)).unwrap() == expected
    assert (await baskets.get_session("s")).unwrap() == expected


class Basket(BaseModel):
    items: list[str] = []


async def test_a_typed_state_may_be_replaced_by_another_one_of_its_type_only(managed: Managed) -> None:
    baskets = managed(default_state=lambda _: Basket(items=["a", "b"]), state_type=Basket)
    before = await baskets.create_session("s")
    for update in (lambda s: s.items.pop(), lambda s: ReplaceState(s.items.pop())):
        refused = await baskets.update_session("s", update)
        assert isinstance(refused.error, InvalidStateError)
        after = await baskets.get_session("s")
        assert (after.data, after.version) == (before.data, before.version)
    replaced = await baskets.update_session("s", lambda _: ReplaceState(Basket(items=["c"])))
    assert replaced.unwrap() == Basket(items=["c"])


@pytest.mark.parametrize("state_type", [dict[str, Any], list[Any]], ids=str)
async def test_a_typed_object_or_array_is_guarded_as_one_without_a_type(managed: Managed, state_type: Any) -> None:
    new = new_basket if state_type == dict[str, Any] else new_log
    baskets = managed(default_state=new, state_type=state_type)
    await baskets.create_session("s")
    refused = await baskets.update_session("s", lambda s: s.pop("user") if isinstance(s, dict) else s.pop())
    assert isinstance(refused.error, InvalidStateError)
    assert (await baskets.get_session("s")).unwrap() == new("s")


@dataclass(eq=False)
class Step:
    """Python compares two steps by identity."""

    name: str = ""


Price = Annotated[Decimal, Field(allow_inf_nan=True)]

# States of which two copies are not equal, and what replaces them.
UNEQUAL: dict[str, tuple[Any, Any, Any]] = {
    "class without ==": (dict[str, Step], {"a": Step("x")}, {"b": Step("y")}),
    "array of a class without ==": (list[Step], [Step("x")], [Step("y"), Step("z")]),
    "NaN": (dict[str, Price], {"a": Decimal("NaN")}, {"b": Decimal(1)}),
    "NaN in an array": (list[Price], [Decimal("NaN")], [Decimal(1)]),
}


@pytest.mark.parametrize(("state_type", "old", "new"), list(UNEQUAL.values()), ids=list(UNEQUAL))
async def test_a_state_that_equals_no_copy_of_itself_may_be_replaced(
    managed: Managed, state_type: Any, old: Any, new: Any
) -> None:
    baskets = managed(default_state=lambda _: old, state_type=state_type)
    await baskets.create_session("s")
    assert repr((await baskets.update_session("s", lambda _: new)).unwrap()) == repr(new)
    refused = await baskets.update_session("s", lambda s: next(iter(s.values() if isinstance(s, dict) else s)))
    assert isinstance(refused.error, InvalidStateError)


async def test_replacing_by_nothing_is_refused(managed: Managed) -> None:
    baskets = managed(default_state=new_basket)
    await baskets.create_session("s")
    refused = await baskets.update_session("s", lambda _: ReplaceState(None))
    assert isinstance(refused.error, InvalidStateError)
    assert (await baskets.get_session("s")).unwrap() == new_basket("s")
