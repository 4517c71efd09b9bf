"""Everybody who takes part, each in a file that is loaded when it is asked for: a peer need not be installed."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from ..contestant import Contestant

CONTESTANTS: Final[dict[str, str]] = {
    "sessionstore": "library:Library",
    "sessionstore-reading": "library_reading:LibraryReading",
    "sessionstore-asyncpg": "library_asyncpg:LibraryAsyncpg",
    "psycopg": "raw_psycopg:RawPsycopg",
    "asyncpg": "raw_asyncpg:RawAsyncpg",
    "pgbench": "pgbench:PgBench",
    "langgraph-store": "langgraph_store:LangGraphStore",
    "langgraph-saver": "langgraph_saver:LangGraphSaver",
    "openai-agents": "openai_agents:OpenAIAgents",
    "google-adk": "google_adk:GoogleAdk",
    "litestar": "litestar_session:LitestarSession",
    "py-key-value": "py_key_value:PyKeyValue",
    "sessionstore-key-value": "stored_key_value:KeyValue",
    "django": "django_session:DjangoSession",
    "psycopg-backoff": "raw_backoff:RawBackoff",
    "psycopg-for-update": "raw_for_update:RawForUpdate",
}
"""In the order of the tables: the library, raw drivers, the limit, peers; and what matters on one session only."""

BASELINE: Final = "psycopg"
"""What ratios are to."""

ONE_SESSION_ONLY: Final = ("psycopg-backoff", "psycopg-for-update")
MANY_SESSIONS_ONLY: Final = ("pgbench",)


def contestant_class(name: str) -> type[Contestant]:
    """Loads a contestant.

    Raises:
        ImportError: It is not installed.
    """
    module, _, attribute = CONTESTANTS[name].partition(":")
    return cast("type[Contestant]", getattr(import_module(f".{module}", __name__), attribute))
