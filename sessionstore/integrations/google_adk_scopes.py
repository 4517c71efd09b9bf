"""The states that ADK's agents see: those of the session, of its app and of its user."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from ..ids import SessionId
from .google_adk_records import Place
from .missing import missing_extra
from .sealed import State
from .shared import Change, SharedStates

try:
    from google.adk.sessions import State as Prefixes
except ModuleNotFoundError as error:
    raise missing_extra("google-adk", error) from error

logger = logging.getLogger(__name__)


class Deltas(NamedTuple):
    """Changes of states, as JSON, without the prefixes of their keys."""

    app: dict[str, Any]
    user: dict[str, Any]
    session: dict[str, Any]


class Scopes(SharedStates):
    """The states of apps and of users."""

    async def noted_for(self, place: Place, deltas: Deltas) -> list[Change]:
        """Returns the changes of the app's and the user's state, for the session to note."""
        wanted = {place.app: (deltas.app, None), place.user: (deltas.user, place.owner)}
        return await self.noted({name: change for name, change in wanted.items() if change[0]})

    async def settled_for(self, place: Place, document: State) -> dict[SessionId, State]:
        """Applies the changes that the session has noted, and returns the states of the app and the user."""
        return await self.settled(document["changes"], await self.read([place.app, place.user]))


def merged(place: Place, document: State, shared: Mapping[SessionId, State]) -> dict[str, Any]:
    """Returns the state that agents see: the states of the session, the app and the user in one."""
    state = dict(document["state"])
    for name, prefix in ((place.app, Prefixes.APP_PREFIX), (place.user, Prefixes.USER_PREFIX)):
        for key, value in shared[name]["values"].items() if name in shared else ():
            state[prefix + key] = deepcopy(value)
    return state


def deltas_of(state: dict[str, Any]) -> Deltas:
    """Divides a change of the state by the prefixes of its keys. A value that is no JSON becomes its repr()."""
    deltas = Deltas({}, {}, {})
    for key, value in state.items():
        if key.startswith(Prefixes.APP_PREFIX):
            deltas.app[key.removeprefix(Prefixes.APP_PREFIX)] = value
        elif key.startswith(Prefixes.USER_PREFIX):
            deltas.user[key.removeprefix(Prefixes.USER_PREFIX)] = value
        elif not key.startswith(Prefixes.TEMP_PREFIX):
            deltas.session[key] = value
    try:
        return Deltas(*to_jsonable_python(tuple(deltas)))
    except (ValueError, TypeError):
        logger.warning("a change of the state holds values that JSON cannot; their repr() is stored")
        return Deltas(*to_jsonable_python(tuple(deltas), serialize_unknown=True))


def temporary(state: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of a change of the state that is not stored."""
    return {key: value for key, value in state.items() if key.startswith(Prefixes.TEMP_PREFIX)}
