"""Encodes a state to JSON text and decodes it. No other module knows the type of a state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import TypeAdapter

from ..errors import CorruptStateError, InvalidStateError, StateTooLargeError
from ..ids import SessionId
from .jsontext import Refused, dumps, in_jsonb_order, loads
from .typed import Typed
from .unstorable import replaced
from .upgrades import Upgrade, Upgrades

T = TypeVar("T")

UnstorableText: TypeAlias = Literal["refuse", "replace"]
"""What to do with a state that holds characters that no storage can keep."""


class Codec(Generic[T]):
    """Encodes states to JSON text and decodes them. Refuses a state that would not be read back equal.

    A typed state is read back at once and compared with the given state. A state without a type needs no comparison,
    because only values that JSON keeps unchanged are accepted.

    Args:
        state_type: The type of a state, or its TypeAdapter; None: plain JSON values.
        max_bytes: The longest text that is accepted, in bytes of UTF-8.
        unstorable_text: "replace": U+FFFD replaces NUL characters and lone surrogates. "refuse": a state with one of
            them is refused.
        version: The shape version of the states that are written.
        upgrades: For each earlier version, the function that makes a state of the next one.

    Attributes:
        version: The shape version of the states that encode() writes.

    Raises:
        ConfigurationError: pydantic has no schema for the type, or the version or an upgrade is invalid. A type may
            name types that are defined later; a call that comes before raises ConfigurationError.
    """

    def __init__(
        self,
        state_type: type[T] | TypeAdapter[T] | None,
        max_bytes: int,
        unstorable_text: UnstorableText = "refuse",
        version: int = 1,
        upgrades: Mapping[int, Upgrade] | None = None,
    ) -> None:
        self._typed: Typed[T] | None = None if state_type is None else Typed(state_type)
        self._max_bytes = max_bytes
        self._replaces = unstorable_text == "replace"
        self._upgrades = Upgrades("state", version, upgrades, loads, _dumps_replaced if self._replaces else dumps)
        self.version = self._upgrades.version

    def encode(self, state: T, session_id: SessionId) -> str:
        """Returns the JSON text of a state.

        Raises:
            ConfigurationError: The state type names a type that is not defined.
            InvalidStateError: The state would not be read back equal. The error has the path of the first difference.
            StateTooLargeError: The text takes more than ``max_bytes``.
        """
        return self._encode(state, session_id)[0]

    def encode_with_copy(self, state: T, session_id: SessionId) -> tuple[str, T]:
        """Like encode(), but also returns a copy of the state, read back from the text.

        Raises:
            InvalidStateError: As encode().
        """
        text, copy = self._encode(state, session_id)
        # A state without a type was not read back by encode(): dumps() only accepts values that come back unchanged.
        return text, loads(text) if self._typed is None else copy

    def decode(self, text: str, session_id: SessionId, version: int = 1) -> T:
        """Returns the state of a stored JSON text.

        Args:
            text: The text.
            session_id: The session that errors name.
            version: The shape version that the text was written under.

        Raises:
            ConfigurationError: The state type names a type that is not defined.
            CorruptStateError: The text is no JSON, or does not fit the state type after the upgrades. Or an upgrade
                failed, or the version is later than this codec's.
        """
        if self._typed is not None:
            self._typed.complete()
        if version != self.version:
            self._upgrades.check(version, session_id)
        if text == "null":
            raise CorruptStateError("is null, and a state is never null", session_id=session_id)
        refused: Refused | None = None
        try:
            if version != self.version:
                text = self._upgrades.current(text, version)
                if text == "null":
                    raise Refused("is null after the upgrades, and a state is never null")
            return loads(text) if self._typed is None else self._typed.read(text)
        except Refused as error:
            refused = error
        except ValueError:
            refused = Refused("is no JSON text")
        # Raised outside the except blocks: the caught error holds the text, and would become the context.
        raise CorruptStateError(refused.reason, path=refused.path, session_id=session_id)

    def _encode(self, state: T, session_id: SessionId) -> tuple[str, T]:
        try:
            return self._written(state, session_id)
        except Refused as error:
            refused = error
        if self._replaces:
            try:
                storable = replaced(state)
                if storable is not state:
                    return self._written(storable, session_id)
            except Refused as error:
                refused = error
        raise InvalidStateError(refused.reason, path=refused.path, session_id=session_id)

    def _written(self, state: T, session_id: SessionId) -> tuple[str, T]:
        encoded = dumps(self._tree_of(state))
        if len(encoded) > self._max_bytes:
            raise StateTooLargeError(size=len(encoded), limit=self._max_bytes, session_id=session_id)
        if encoded == b"null":
            raise Refused("is null, and a state is never null; to end the session call delete_session()")
        text = encoded.decode()
        return text, state if self._typed is None else self._typed.checked(text, state)

    def _tree_of(self, state: T) -> Any:
        if self._typed is None:
            return state
        tree = self._typed.dumped(state)
        # jsonb sorts keys. If the order matters to the type, every storage gets the keys in the order of jsonb.
        return in_jsonb_order(tree) if self._typed.order_matters else tree


def _dumps_replaced(document: Any) -> bytes:
    """Like dumps(), but with U+FFFD for characters that no storage keeps. An upgrade may have added such characters."""
    with suppress(Refused):
        return dumps(document)
    return dumps(replaced(document))
