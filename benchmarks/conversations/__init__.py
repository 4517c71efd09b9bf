"""Who keeps conversations, each in a file that is loaded when it is asked for: a peer need not be installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Final, cast

from .conversations import Conversations

KEEPERS: Final[dict[str, str]] = {
    "sessionstore": "library:LibraryConversations",
    "sessionstore-document": "document:DocumentConversations",
    "psycopg": "raw:RawConversations",
    "openai-agents": "openai_agents:OpenAIAgentsConversations",
    "sessionstore-openai-agents": "library_openai_agents:LibraryOpenAIAgentsConversations",
    "google-adk": "google_adk:GoogleAdkConversations",
    "sessionstore-google-adk": "library_google_adk:LibraryGoogleAdkConversations",
    "langgraph-saver": "langgraph_saver:LangGraphConversations",
}
"""In the order of the tables. The document is this library too: all messages in the state. So is an adapter, which
stands behind the framework's own store."""


def keepers(contestants: Sequence[str]) -> Sequence[str]:
    """The names of those who keep conversations, if these contestants take part."""
    return [name for name in KEEPERS if _theirs(name) in contestants]


def _theirs(name: str) -> str:
    """The contestant with whom one takes part: an adapter of this library with the framework that it is for."""
    return name.removesuffix("-document").removeprefix("sessionstore-")


def keeper_class(name: str) -> type[Conversations]:
    """Loads one.

    Raises:
        ImportError: It is not installed.
    """
    module, _, attribute = KEEPERS[name].partition(":")
    return cast("type[Conversations]", getattr(import_module(f".{module}", __name__), attribute))
