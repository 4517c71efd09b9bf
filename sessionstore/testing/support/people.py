"""The state of a service in an older and a newer shape, and the upgrades between them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from sessionstore import StorageProvider

from .documents import key


class Name(BaseModel):
    first: str
    last: str = ""


class Person(BaseModel):
    name: Name
    visits: int


def split(state: Any) -> Any:
    """From version 1 to 2: one name becomes two. Returns a new state."""
    first, _, last = state["name"].partition(" ")
    return {"first": first, "last": last, "visits": state["visits"]}


def nest(state: Any) -> None:
    """From version 2 to 3: the names become an object. Changes the state in place."""
    state["name"] = {"first": state.pop("first"), "last": state.pop("last")}


def say(item: Any) -> Any:
    """From version 1 to 2: a text becomes a message."""
    return {"said": item}


def visit(person: Person) -> None:
    person.visits += 1


ADA = Name(first="Ada", last="Lovelace")


async def stored(storage: StorageProvider, session_id: str = "s") -> tuple[int, str]:
    document = await storage.get(key(session_id), touch=False)
    assert document is not None
    return document.state_version, document.state.replace(" ", "")
