"""Change: applies one caller's update function to a document and encodes the new state."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Generic, TypeVar

from ..codec.facts import origin_of
from ..codec.jsontext import Refused
from ..codec.states import Codec
from ..errors import CorruptStateError, InvalidStateError
from ..ids import LAST_VERSION, SessionId
from ..storage import Document
from .replacement import ReplaceState, new_state
from .request import Made

T = TypeVar("T")


class Change(Generic[T]):
    """Applies a caller's function to the state of a document.

    Attributes:
        raised: The exceptions that the function raised. The manager raises them again. Other errors go into the result.
    """

    def __init__(
        self, update_fn: Callable[[T], T | ReplaceState[T] | None], codec: Codec[T], session_id: SessionId
    ) -> None:
        self.raised: list[Exception] = []
        self._update_fn = update_fn
        self._codec = codec
        self._session_id = session_id

    def __call__(self, document: Document) -> Made:
        """Returns the text of the new state, and a copy of the state for the caller.

        Raises:
            CorruptStateError: The document does not fit the state type.
            InvalidStateError: The new state cannot be stored.
            TypeError: The function is a coroutine function.
            Exception: What the function raises.
        """
        state = self._codec.decode(document.state, self._session_id, document.state_version)
        # Checked before the write, because the result of the write needs an origin that can be read.
        origin_of(document.summary)
        if document.summary.version > LAST_VERSION:
            raise CorruptStateError(
                "has reached the highest number, so no further write can be counted; delete and create the session",
                path="version",
                session_id=self._session_id,
            )
        try:
            changed = self._update_fn(state)
        except Exception as error:
            self.raised.append(error)
            raise
        if inspect.iscoroutine(changed):
            changed.close()
            raise TypeError(
                "update_fn must be a plain function, not a coroutine function, because it may run more than once; "
                "await other calls before update_session(), and use their results in the function"
            )
        made = self._codec.encode_with_copy(self._new(state, changed, document), self._session_id)
        return Made(*made, self._codec.version)

    def _new(self, given: T, returned: T | ReplaceState[T] | None, document: Document) -> T:
        try:
            return new_state(
                given,
                returned,
                lambda: self._codec.decode(document.state, self._session_id, document.state_version),
            )
        except Refused as error:
            refused = error
        raise InvalidStateError(refused.reason, path=refused.path, session_id=self._session_id)
