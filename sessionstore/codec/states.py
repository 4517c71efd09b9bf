"""Encodes a state to JSON text and decodes it. No other module knows the type of a state."""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeAlias, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from ..errors import CorruptStateError, InvalidStateError, StateTooLargeError
from ..ids import SessionId
from .adapters import adapter_of, complete
from .dumping import dump
from .equality import Equality
from .jsontext import Refused, dumps, in_jsonb_order, loads
from .location import Place, first_place
from .schema import Unstored, order_matters
from .unstorable import replaced

T = TypeVar("T")

UnstorableText: TypeAlias = Literal["refuse", "replace"]
"""What to do with a state that holds characters that no storage can keep."""

_PYDANTIC_FAULTS: Final = frozenset(get_args(ErrorType))


class Codec(Generic[T]):
    """Encodes states to JSON text and decodes them. Refuses a state that would not be read back equal.

    A typed state is read back at once and compared with the given state. A state without a type needs no comparison,
    because only values that JSON keeps unchanged are accepted.

    Args:
        state_type: The type of a state, or its TypeAdapter; None: plain JSON values.
        max_bytes: The longest text that is accepted, in bytes of UTF-8.
        unstorable_text: "replace": U+FFFD takes the place of NUL characters and lone surrogates.

    Raises:
        ConfigurationError: pydantic has no schema for the type. A type that names types which are defined later is
            refused by the first call that comes before they are defined.
    """

    def __init__(
        self,
        state_type: type[T] | TypeAdapter[T] | None,
        max_bytes: int,
        unstorable_text: UnstorableText = "refuse",
    ) -> None:
        self._typed: _Typed[T] | None = None if state_type is None else _Typed(state_type)
        self._max_bytes = max_bytes
        self._replaces = unstorable_text == "replace"

    def encode(self, state: T, session_id: SessionId) -> str:
        """Returns the JSON text of a state.

        Raises:
            ConfigurationError: The state type names a type that is not defined.
            InvalidStateError: The state would not be read back equal; with the path.
            StateTooLargeError: The text takes more than ``max_bytes``.
        """
        return self._encode(state, session_id)[0]

    def encode_with_copy(self, state: T, session_id: SessionId) -> tuple[str, T]:
        """Does encode(), and also returns a copy of the state, read back from the text.

        Raises:
            InvalidStateError: As encode().
        """
        text, copy = self._encode(state, session_id)
        # A state without a type was not read back by encode(): dumps() only accepts values that come back unchanged.
        return text, loads(text) if self._typed is None else copy

    def decode(self, text: str, session_id: SessionId) -> T:
        """Returns the state of a stored JSON text.

        Raises:
            ConfigurationError: The state type names a type that is not defined.
            CorruptStateError: The text does not fit the state type.
        """
        if self._typed is not None:
            self._typed.complete()
        if text == "null":
            raise CorruptStateError("is null, and a state is never null", session_id=session_id)
        refused: Refused | None = None
        try:
            return loads(text) if self._typed is None else self._typed.read(text)
        except Refused as error:
            refused = error
        except ValueError:
            refused = Refused("is no JSON text")
        # Raised outside the except blocks: an error that was caught there holds the text, and would become the context.
        raise CorruptStateError(refused.reason, path=refused.path, session_id=session_id)

    def _encode(self, state: T, session_id: SessionId) -> tuple[str, T]:
        try:
            return self._written(state, session_id)
        except Refused as error:
            refused = error
        if self._replaces:
            try:
                storable = _replaced(state)
                if storable is not state:
                    return self._written(storable, session_id)
            except Refused as error:
                refused = error
        raise InvalidStateError(refused.reason, path=refused.path, session_id=session_id)

    def _written(self, state: T, session_id: SessionId) -> tuple[str, T]:
        encoded = dumps(state) if self._typed is None else self._typed.written(state)
        if len(encoded) > self._max_bytes:
            raise StateTooLargeError(size=len(encoded), limit=self._max_bytes, session_id=session_id)
        if encoded == b"null":
            raise Refused("is null, and a state is never null; to end the session call delete_session()")
        text = encoded.decode()
        return text, state if self._typed is None else self._typed.checked(text, state)


class _Typed(Generic[T]):
    """Writes and reads states of one type with pydantic. Each method raises Refused for a state that it cannot keep."""

    def __init__(self, state_type: type[T] | TypeAdapter[T]) -> None:
        self._adapter: TypeAdapter[T] = adapter_of(state_type)
        self._equality: Equality | None = None
        self._ordered = False

    def complete(self) -> None:
        """Raises ConfigurationError as long as the type names a type that is not defined."""
        if not self._adapter.pydantic_complete:
            complete(self._adapter)

    def written(self, state: T) -> bytes:
        self.complete()
        tree = dump(self._adapter, state)
        if self._equality is None:
            # Not in __init__: a type may refer to types that are defined later, and pydantic may defer its schema.
            self._equality = Equality(Unstored(self._adapter))
            self._ordered = order_matters(self._adapter)
        # jsonb sorts keys. If the type depends on the order of keys, every storage gets them in the order of jsonb.
        return dumps(in_jsonb_order(tree) if self._ordered else tree)

    def checked(self, text: str, state: T) -> T:
        """Reads the text back, checks that the result equals the state, and returns the result."""
        assert self._equality is not None
        copy = self.read(text)
        self._equality.check(state, copy)
        return copy

    def read(self, text: str) -> T:
        try:
            # Documents use the names of the fields, so that a service may change an alias without a migration.
            return self._adapter.validate_json(text, by_alias=False, by_name=True)
        except ValidationError as error:
            refused = _first_of(error, text)
        except Exception as error:  # noqa: BLE001  # a user's validator may raise anything, and quote the state
            refused = Refused(f"does not fit the state type ({type(error).__name__})")
        raise refused


def _first_of(error: ValidationError, text: str) -> Refused:
    """The refusal for the first place that does not fit: its path and the kind of fault, no text of the state."""
    try:
        errors = error.errors(include_url=False, include_input=False)
    except Exception:  # noqa: BLE001  # pydantic calls __str__ of the user's exception, which may raise
        return Refused("does not fit the state type (an error without a text)")
    first = errors[0]
    raised = first.get("ctx", {}).get("error")
    fault = first["type"] if first["type"] in _PYDANTIC_FAULTS else "custom_error"
    if isinstance(raised, Exception):
        fault = type(raised).__name__
    try:
        place = first_place(loads(text), errors)
    except ValueError:  # pydantic accepts texts that are no strict JSON
        place = Place(first["loc"])
    return Refused(f"does not fit the state type ({'no type of a union' if place.union else fault})", place.steps)


def _replaced(state: T) -> T:
    try:
        return replaced(state)  # type: ignore[no-any-return]
    except RecursionError:
        return state  # the state was already refused for its depth
