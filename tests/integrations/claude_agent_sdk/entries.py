"""Entries of transcripts, as the command writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_agent_sdk import SessionKey
    from claude_agent_sdk.types import SessionStoreEntry


def key(project: str = "p", session: str = "s", subpath: str | None = None) -> SessionKey:
    """The key of a transcript."""
    if subpath is None:
        return {"project_key": project, "session_id": session}
    return {"project_key": project, "session_id": session, "subpath": subpath}


def entry(uuid: str, **more: Any) -> SessionStoreEntry:
    """An entry with an id."""
    said = {"role": "user", "content": f"said {uuid}"}
    return cast("SessionStoreEntry", {"type": "user", "uuid": uuid, "message": said, **more})


def title(text: str) -> SessionStoreEntry:
    """An entry without an id."""
    return cast("SessionStoreEntry", {"type": "custom-title", "customTitle": text})


def uuids(entries: Sequence[SessionStoreEntry] | None) -> list[str]:
    """The ids of entries."""
    return [it["uuid"] for it in entries or []]
