"""SessionStore: Django's SessionBase on this library, without Django's ORM and migrations."""

from __future__ import annotations

import json
import time
from asyncio.events import _get_running_loop
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.sessions.backends.base import VALID_KEY_CHARS, CreateError, SessionBase, UpdateError
from django.utils.crypto import get_random_string

from ...errors import ConfigurationError, InvalidSessionIdError, SessionNotFoundError
from ...reaper import Reaper as AsyncReaper
from ...session import SessionResult
from ...storage import Draft, Key
from ...sync import Reaper
from .keeper import Keeper, Stored, keeper
from .texts import bytes_of, key_of, stored_key, text_of

_ABSENT = (SessionNotFoundError, InvalidSessionIdError)


class SessionStore(SessionBase):
    """One browser's session, as in Django's own backends, with these differences.

    - ``save()`` writes the keys that changed since the session was loaded. What another request changed meanwhile
      stays, so that two requests of one browser lose nothing. If both change one key, the later save wins.
    - A session that was deleted meanwhile (a logout) does not come back: ``save()`` raises UpdateError, and Django
      answers with 400.
    - A storage that is down raises StorageUnavailableError, and never reads as a missing session.
    - Reading writes nothing and does not extend the session.

    The synchronous methods raise ConfigurationError in a thread that runs an event loop. Use the others there.
    """

    _session_key: str | None

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._saved: dict[str, str] = {}  # the stored texts, as this request last saw them
        self._replaces = False

    def clear(self) -> None:
        super().clear()
        self._replaces = True

    def _get_new_session_key(self) -> str:
        # create() refuses a key that is in use, so no look-up is needed here.
        return str(get_random_string(32, VALID_KEY_CHARS))

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    def load(self) -> dict[str, Any]:
        return self._loaded(_waiting().manager.get_session(self.session_key, touch=False))

    async def aload(self) -> dict[str, Any]:
        return self._loaded(await keeper().manager.asynchronous.get_session(self.session_key, touch=False))

    def exists(self, session_key: str) -> bool:
        return _live(_waiting().manager.get_session(session_key, touch=False)) is not None

    async def aexists(self, session_key: str) -> bool:
        return _live(await keeper().manager.asynchronous.get_session(session_key, touch=False)) is not None

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    async def acreate(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                await self.asave(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        kept, key = _waiting(), self.session_key
        change = _Change(self, self._get_session(no_load=must_create), self.get_expiry_age())
        if must_create:
            with kept.first_states.noted(key, change.whole):
                self._created(change, kept.manager.create_session(key, ttl=change.ttl))
            return None
        result = kept.manager.update_session(key, change)
        if draft := self._updated(change, result, kept):
            kept.storage.set(draft)
        return None

    async def asave(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return await self.acreate()
        kept, key = keeper(), self.session_key
        change = _Change(self, await self._aget_session(no_load=must_create), await self.aget_expiry_age())
        if must_create:
            with kept.first_states.noted(key, change.whole):
                self._created(change, await kept.manager.asynchronous.create_session(key, ttl=change.ttl))
            return None
        result = await kept.manager.asynchronous.update_session(key, change)
        if draft := self._updated(change, result, kept):
            await kept.storage.asynchronous.set(draft)
        return None

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            _live(_waiting().manager.delete_session(key))

    async def adelete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            _live(await keeper().manager.asynchronous.delete_session(key))

    @classmethod
    def clear_expired(cls) -> None:
        Reaper(_waiting().storage).run_once()

    @classmethod
    async def aclear_expired(cls) -> None:
        await AsyncReaper(keeper().storage.asynchronous).run_once()

    def texts(self, data: Mapping[Any, Any]) -> dict[str, str]:
        """Returns the serializer's text of each value, by its stored key. The serializer turns keys into strings."""
        serializer = self.serializer()
        texts: dict[str, str] = {}
        for key, value in data.items():
            name = key if isinstance(key, str) else next(iter(serializer.loads(serializer.dumps({key: None}))))
            texts[stored_key(name)] = text_of(serializer.dumps(value))
        return texts

    def _loaded(self, result: SessionResult[Stored]) -> dict[str, Any]:
        state = _live(result)
        if state is None:
            self._session_key = None
            self._saved = {}
            return {}
        self._saved = state["data"]
        serializer = self.serializer()
        return {key_of(key): serializer.loads(bytes_of(text)) for key, text in state["data"].items()}

    def _created(self, change: _Change, result: SessionResult[Stored]) -> None:
        result.unwrap()
        if not result.created:
            raise CreateError
        self._saved, self._replaces = change.texts, False

    def _updated(self, change: _Change, result: SessionResult[Stored], kept: Keeper) -> Draft | None:
        """Returns a draft of the session with a longer TTL; None: the TTL is long enough."""
        if isinstance(result.error, _ABSENT):
            raise UpdateError
        state = result.unwrap()
        self._saved, self._replaces = change.texts, False
        assert result.metadata is not None
        if result.metadata.ttl is None or result.metadata.ttl >= change.ttl:
            return None
        return Draft(Key(kept.namespace, result.session_id), json.dumps(state), ttl=change.ttl)

    @property
    def saved(self) -> Mapping[str, str]:
        """The stored texts by their keys, as this request last saw them."""
        return self._saved

    @property
    def replaces(self) -> bool:
        """Whether the session was cleared. Then the next save removes all other keys."""
        return self._replaces


class _Change:
    """The changes of one save, as a function of the stored state."""

    def __init__(self, session: SessionStore, data: Mapping[Any, Any], age: float) -> None:
        self.texts = session.texts(data)
        self.ttl = timedelta(seconds=max(1, age, session.get_session_cookie_age()))
        self._until = time.time() + age
        self._changed = {key: text for key, text in self.texts.items() if session.saved.get(key) != text}
        self._removed = session.saved.keys() - self.texts.keys()
        self._replaces = session.replaces

    @property
    def whole(self) -> Stored:
        """The state of a new session."""
        return Stored(data=self.texts, until=self._until)

    def __call__(self, state: Stored) -> Stored:
        if state["until"] <= time.time():
            raise UpdateError
        kept = {} if self._replaces else {key: text for key, text in state["data"].items() if key not in self._removed}
        return Stored(data={**kept, **(self.texts if self._replaces else self._changed)}, until=self._until)


def _waiting() -> Keeper:
    """Returns the keeper for a synchronous call.

    Raises:
        ConfigurationError: An event loop runs in this thread.
    """
    if _get_running_loop() is not None:
        raise ConfigurationError(
            "a session was used synchronously in a thread in which an event loop runs, and would block the loop; in a "
            "coroutine, await the asynchronous methods of the session, such as request.session.aget() and aset(), or "
            "use asgiref's sync_to_async()"
        )
    return keeper()


def _live(result: SessionResult[Any]) -> Any:
    """Returns the state of a live session; None: the session does not exist or has expired."""
    if isinstance(result.error, _ABSENT):
        return None
    state = result.unwrap()
    return None if isinstance(state, dict) and state["until"] <= time.time() else state
