"""Shared states: documents that many sessions change. Each change is applied exactly once."""

from __future__ import annotations

import secrets
from asyncio import gather
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from pydantic import JsonValue

from ..errors import SessionNotFoundError
from ..ids import SessionId
from ..manager import SessionManager
from ..session import SessionResult
from ..storage import Key, StorageProvider
from .sealed import MOST_BYTES, Seal, State, changed, listed, opened, written

Values: TypeAlias = dict[str, Any]
Change: TypeAlias = dict[str, Any]
"""A change of a shared state, as the session that makes the change notes it: the ``id`` of the shared state, its
``life``, its ``count`` of changes before this one, and the ``values`` to set."""


class SharedStates:
    """States that several sessions share, as documents of a namespace of their own. They never expire by themselves.

    A session first notes its changes of shared states, in its own write. Then the changes are applied to the shared
    states. If the process dies in between, the next call that reads the session applies the changes.

    A change may be applied late or repeatedly, and counts once. A shared state counts its changes, and keeps for each
    key the count at which the key was last set. A change sets a key only if no other change has set this key since the
    change was noted. So changes count in the order in which they were noted.

    Args:
        storage: Where the shared states are kept.
        namespace: The namespace of the shared states.
    """

    def __init__(self, storage: StorageProvider, namespace: str) -> None:
        self._namespace = namespace
        self._states: SessionManager[State] = SessionManager(
            _new, storage, namespace, ttl=None, max_state_bytes=MOST_BYTES
        )

    def key(self, name: SessionId) -> Key:
        """Returns where a shared state is kept."""
        return Key(self._namespace, name)

    async def noted(self, wanted: Mapping[SessionId, tuple[Values, str | None]]) -> list[Change]:
        """Returns the changes for the session to note. Shared states that do not exist yet are created.

        Args:
            wanted: The values to set and the owner of each shared state, by its id.
        """
        found = await gather(
            *(self._states.create_session(name, owner_id=owner) for name, (_, owner) in wanted.items())
        )
        states = [opened(result.unwrap()) for result in found]
        return [
            {"id": name, "life": state["life"], "count": state["count"], "values": values}
            for (name, (values, _)), state in zip(wanted.items(), states, strict=True)
        ]

    async def read(self, names: Sequence[SessionId]) -> dict[SessionId, State]:
        """Reads shared states. States that do not exist are missing in the result."""
        found = await gather(*(self._states.get_session(name, touch=False) for name in names))
        return {
            name: opened(result.unwrap())
            for name, result in zip(names, found, strict=True)
            if not isinstance(result.error, SessionNotFoundError)
        }

    async def list(self, prefix: str) -> dict[SessionId, State]:
        """Reads all shared states whose ids begin with a prefix."""
        return {info.session_id: state async for info, state in listed(self._states, prefix)}

    async def settled(self, changes: Iterable[Change], states: Mapping[SessionId, State]) -> dict[SessionId, State]:
        """Applies the noted changes that were not applied yet.

        Args:
            changes: The changes that sessions noted.
            states: The shared states, as they were read after the sessions.

        Returns:
            The shared states after the changes.
        """
        after = dict(states)
        for change in changes:
            # A shared state that was deleted meanwhile is not created again by a change.
            if (state := after.get(change["id"])) is not None and _unset(change, state):
                after |= await self.applied([change])
        return after

    async def applied(self, changes: Iterable[Change]) -> dict[SessionId, State]:
        """Applies noted changes, and returns the shared states after them."""
        changes = list(changes)
        found = await gather(*map(self._apply, changes))
        return {
            change["id"]: opened(result.unwrap())
            for change, result in zip(changes, found, strict=True)
            if not isinstance(result.error, SessionNotFoundError)
        }

    async def deleted(self, owner_id: str, name: SessionId | None) -> None:
        """Deletes the shared state with this id, or all shared states of the owner."""
        if name is None:
            await self._states.delete_sessions(owner_id=owner_id)
        else:
            (await self._states.delete_session(name, owner_id=owner_id)).unwrap()

    async def _apply(self, change: Change) -> SessionResult[State, JsonValue]:
        def update(seal: Seal) -> Any:
            return self._states.update_session(change["id"], changed(partial(_set, change), seal))

        return await written(update, change["id"])


def _new(_: SessionId) -> State:
    return {"life": secrets.token_urlsafe(6), "count": 0, "values": {}, "counts": {}}


def _unset(change: Change, state: State) -> Values:
    """Returns the values of a change that have to be set."""
    if state["life"] != change["life"]:  # the shared state was deleted and created again
        return {}
    return {key: value for key, value in change["values"].items() if state["counts"].get(key, 0) <= change["count"]}


def _set(change: Change, state: State) -> State:
    values = _unset(change, state)
    count = state["count"] + bool(values)
    return {
        "life": state["life"],
        "count": count,
        "values": state["values"] | values,
        "counts": state["counts"] | dict.fromkeys(values, count),
    }
