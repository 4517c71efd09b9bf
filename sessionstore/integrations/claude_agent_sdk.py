"""Claude Agent SDK: `StoredSessionStore` keeps the transcripts of sessions and of their subagents."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NamedTuple, TypedDict

from ..ids import fault_of
from ..manager import DEFAULT_TTL, SessionManager
from ..session import SessionInfo
from ..storage import StorageProvider
from .founding import Founding
from .keys import joined, prefix_of
from .logs import present, whole_log
from .missing import missing_extra
from .pages import pages

try:
    from claude_agent_sdk import SessionStore, fold_session_summary
    from claude_agent_sdk.types import (
        SessionKey,
        SessionListSubkeysKey,
        SessionStoreEntry,
        SessionStoreListEntry,
        SessionSummaryEntry,
    )
except ModuleNotFoundError as error:
    raise missing_extra("claude-agent-sdk", error) from error

_MOST: Final = 268_435_455
"""The longest entry and the longest summary that PostgreSQL can hold. An entry may be an image."""
_LISTED: Final = 1000
_MARK: Final = "~"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_logger = logging.getLogger(__name__)


class _State(TypedDict):
    """The state of a session.

    Attributes:
        summary: The SDK's summary of the main transcript; None: there is no main transcript yet.
        subpaths: The subpaths that are no valid names of logs, by the name of their log.

    Both hold JSON texts, so that NUL characters and lone surrogates are kept.
    """

    summary: str | None
    subpaths: dict[str, str]


class _Batch(NamedTuple):
    """Entries to append to a transcript, the ids of their items, and the log."""

    key: SessionKey
    entries: Sequence[SessionStoreEntry]
    ids: Sequence[str | None]
    log: str


class _LookFirst(Exception):
    """Raised if it has to be known first which of the entries the transcript has."""


class StoredSessionStore(SessionStore):
    """Keeps the transcripts of Claude sessions. Pass it as ``ClaudeAgentOptions(session_store=...)``.

    A Claude session is one session: its entries are the items, each subpath is a log, and its owner is the project. The
    summary and the entries land in one write. If the transcript has the ``uuid`` of an entry, the entry is passed over.

    All methods raise StorageError if the storage failed. They need asyncio and do not work with trio.

    Args:
        storage: Where sessions are kept; the caller closes it.
        ttl: How long a session lives after it was appended to or loaded; None: for ever. If the argument is missing,
            ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        namespace: Separates these sessions from others in the storage.

    Raises:
        ConfigurationError: The namespace or the duration is invalid.
    """

    def __init__(
        self, storage: StorageProvider, *, ttl: timedelta | None = DEFAULT_TTL, namespace: str = "claude-agent-sdk"
    ) -> None:
        def starting_with(state: _State) -> SessionManager[_State, SessionStoreEntry]:
            return SessionManager(
                lambda _: state, storage, namespace, ttl=ttl, max_state_bytes=_MOST, max_item_bytes=_MOST
            )

        self._sessions = starting_with(_new())
        self._founding = Founding(starting_with, _new)

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Appends entries to a transcript, all or none, next to each other. Creates a session that does not exist."""
        if not entries:
            return
        subpath, log = key.get("subpath") or "", _log_of(key)
        batch = _Batch(key, entries, [_item_id(log, entry) for entry in entries], log)
        if not subpath:
            await self._append_main(batch)
        elif log == subpath:
            appending = self._sessions.append_items(
                _session_id(key), entries, ids=batch.ids, log=log, create=True, owner_id=joined(key["project_key"])
            )
            (await appending).unwrap()
        else:
            while not await self._update(batch, lambda state: state["subpaths"].update({log: json.dumps(subpath)})):
                pass

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Returns all entries of a transcript; None: it has none, or its session expired or was deleted."""
        return await whole_log(self._sessions, _session_id(key), _log_of(key))

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """Lists the sessions of a project that have a main transcript. The session that changed last comes first.

        ``mtime`` is the time of the last change of the main transcript or a subpath, by the storage's clock.
        """
        found = await self._listed(project_key)
        return [{"session_id": it["session_id"], "mtime": it["mtime"]} for it in found]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """Returns the summaries of the sessions of list_sessions(), in the same order and with the same times."""
        return await self._listed(project_key)

    async def delete(self, key: SessionKey) -> None:
        """Deletes a session with all its transcripts. If the key has a subpath, deletes only that transcript."""
        if key.get("subpath"):
            present(await self._sessions.replace_items(_session_id(key), [], log=_log_of(key)))
        else:
            (await self._sessions.delete_session(_session_id(key))).unwrap()

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """Returns the subpaths of a session that have entries."""
        named = present(await self._sessions.list_logs(_session_id(key)))
        logs = [] if named is None else [log for log in named.unwrap() if log]
        if not any(log.startswith(_MARK) for log in logs):
            return logs
        read = present(await self._sessions.get_session(_session_id(key), touch=False))
        subpaths = {} if read is None else read.unwrap()["subpaths"]
        return [json.loads(subpaths[log]) if log in subpaths else log for log in logs]

    async def _append_main(self, batch: _Batch) -> None:
        there: Container[str | None] | None = None
        version: int | None = None
        while True:
            try:
                if await self._update(batch, partial(_fold, batch, there), version):
                    return
            except _LookFirst:
                pass
            wanted = [item_id for item_id in batch.ids if item_id is not None]
            found = present(await self._sessions.get_items(_session_id(batch.key), ids=wanted, touch=False))
            # Each append to a main transcript changes the version. While the version is the same, so are the entries.
            there = None if found is None else {_item_id("", item.data) for item in found.items}
            version = None if found is None else found.version

    async def _update(self, batch: _Batch, change: Callable[[_State], None], version: int | None = None) -> bool:
        key, entries, ids, log = batch
        return await self._founding.write(
            _session_id(key),
            change,
            entries,
            ids=ids,
            log=log,
            owner_id=joined(key["project_key"]),
            expected_version=version,
        )

    async def _listed(self, project_key: str) -> list[SessionSummaryEntry]:
        found: list[SessionInfo[_State]] = []
        listing = partial(self._sessions.list_sessions, prefix=prefix_of(project_key), limit=_LISTED, states=True)
        async for page in pages(listing):
            found += page.sessions
        # Sorted here, because pages in order of change would miss sessions that change during the listing.
        found.sort(key=lambda info: info.metadata.updated_at)
        summaries: list[SessionSummaryEntry] = []
        mtime = 0
        for info in found:
            # The SDK sorts by mtime in milliseconds. Several sessions may have changed in one millisecond.
            mtime = max(mtime + 1, (info.metadata.updated_at - _EPOCH) // timedelta(milliseconds=1))
            if info.error is not None:
                _logger.warning("a session cannot be listed: %s", info.error)
            if info.state is not None and (text := info.state["summary"]) is not None:
                summaries.append({**_read(text), "mtime": mtime})
        return summaries[::-1]


def _new() -> _State:
    return {"summary": None, "subpaths": {}}


def _session_id(key: SessionKey | SessionListSubkeysKey) -> str:
    return joined(key["project_key"], key["session_id"])


def _log_of(key: SessionKey) -> str:
    """Returns the log of a transcript: the subpath, or a name made of it if the subpath is no valid name."""
    subpath = key.get("subpath") or ""
    if not subpath or (fault_of(subpath) is None and not subpath.startswith(_MARK)):
        return subpath
    return f"{_MARK}{joined(subpath)}"


def _item_id(log: str, entry: SessionStoreEntry) -> str | None:
    """Returns the id of an item: the uuid of the entry, with the subpath if there is one. None: it has no uuid."""
    uuid: object = entry.get("uuid")
    if not isinstance(uuid, str) or not uuid:
        return None
    return joined(log, uuid) if log else joined(uuid)


def _fold(batch: _Batch, there: Container[str | None] | None, state: _State) -> None:
    """Folds the entries into the summary, without the entries that the append passes over.

    Args:
        batch: The entries.
        there: Which of the ids the transcript has; None: it is not known.
        state: The state, which is changed.

    Raises:
        _LookFirst: ``there`` is None, and the summary depends on it.
    """
    summary = None if state["summary"] is None else _read(state["summary"])
    known = () if summary is None else there
    seen: set[str] = set()
    for entry, item_id in zip(batch.entries, batch.ids, strict=True):
        if item_id is not None:
            if item_id in seen or (known is not None and item_id in known):
                continue
            seen.add(item_id)
        after = fold_session_summary(summary, batch.key, [entry])
        if item_id is not None and known is None and summary is not None and after["data"] != summary["data"]:
            raise _LookFirst
        summary = after
    if summary is not None:
        state["summary"] = json.dumps(summary)


def _read(text: str) -> SessionSummaryEntry:
    summary: SessionSummaryEntry = json.loads(text)
    return summary
