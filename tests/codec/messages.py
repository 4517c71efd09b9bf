"""Types of items, and items that are rare."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sessionstore.codec.items import ItemCodec

PLAIN: ItemCodec[Any] = ItemCodec(None, 1_000_000)


class Part(BaseModel):
    text: str
    short: str | None = Field(default=None, max_length=20)
    more: dict[str, JsonValue] = {}


class Message(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    role: str
    content: list[Part] = Field(default_factory=list, alias="parts")
    at: datetime | None = None
    body: Any = None


def constrained(text: str) -> Part:
    return Part.model_construct(text="", short=text, more={})
