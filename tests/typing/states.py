"""States of services, and functions that change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from pydantic import BaseModel, JsonValue

from sessionstore import ReplaceState, SessionId, SessionState


class Chat(TypedDict):
    turns: list[str]


@dataclass
class Basket:
    items: list[str]


class Profile(BaseModel):
    name: str


class Ticket(SessionState):
    topic: str = ""


def new_chat(session_id: SessionId) -> Chat:
    return {"turns": [session_id]}


def new_basket(session_id: SessionId) -> Basket:
    return Basket(items=[session_id])


def new_profile(session_id: SessionId) -> Profile:
    return Profile(name=session_id)


def new_ticket(session_id: SessionId) -> Ticket:
    return Ticket(session_id=session_id)


def new_document(session_id: SessionId) -> dict[str, JsonValue]:
    return {"id": session_id}


def changed_in_place(chat: Chat) -> None:
    chat["turns"].append("hello")


def replaced(chat: Chat) -> Chat:
    return {"turns": [*chat["turns"], "hello"]}


def replaced_or_not(chat: Chat) -> Chat | None:
    return replaced(chat) if chat["turns"] else None


def replaced_by_all_means(chat: Chat) -> ReplaceState[Chat]:
    return ReplaceState({"turns": []})


def replaced_by_another(chat: Chat) -> ReplaceState[Basket]:
    return ReplaceState(Basket(items=[]))


def counted(chat: Chat) -> int:
    return len(chat["turns"])


async def changed_later(chat: Chat) -> Chat:
    return chat


def change_of_another_state(basket: Basket) -> None:
    basket.items.clear()
