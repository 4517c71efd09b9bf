"""A state and its JSON text: the only place that knows the type of a state; and the facts beside it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from .errors import CorruptStateError, InvalidStateError, StateTooLargeError
from .ids import SessionId
from .jsontext import MAX_DEPTH, Refused, dumps, jsonpath, loads
from .session import SessionMetadata
from .storage import Summary

T = TypeVar("T")

_ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)


class Codec(Generic[T]):
    """Turns states into JSON text and back, refusing at the door what would not come back as it went in.

    Args:
        state_type: The type of a state, or its TypeAdapter; None: what JSON gives.
        max_bytes: The longest text that is accepted, in bytes of UTF-8.
    """

    def __init__(self, state_type: type[T] | TypeAdapter[T] | None, max_bytes: int) -> None:
        self._adapter: TypeAdapter[T] | None = (
            state_type if state_type is None or isinstance(state_type, TypeAdapter) else TypeAdapter(state_type)
        )
        self._max_bytes = max_bytes

    def encode(self, state: T, session_id: SessionId) -> str:
        """Returns the JSON text of a state.

        Raises:
            InvalidStateError: It could not be read back, naming the path.
            StateTooLargeError: It takes more than ``max_bytes``.
        """
        try:
            text = dumps(state if self._adapter is None else _dump(self._adapter, state))
        except Refused as refused:
            raise InvalidStateError(refused.reason, path=refused.path, session_id=session_id) from None
        if len(text) > self._max_bytes:
            raise StateTooLargeError(size=len(text), limit=self._max_bytes, session_id=session_id)
        if text == b"null":
            raise InvalidStateError("is null; a session without a state is a session deleted", session_id=session_id)
        return text.decode()

    def copy(self, text: str, session_id: SessionId) -> T:
        """Reads back a text that encode() just gave: the caller's own copy.

        Raises:
            InvalidStateError: The state type does not accept what it dumps, so it could be written but never read.
        """
        try:
            return self.decode(text, session_id)
        except CorruptStateError as error:
            raise InvalidStateError(error.reason, path=error.path, session_id=session_id) from None

    def decode(self, text: str, session_id: SessionId) -> T:
        """Returns the state of a JSON text that was stored.

        Raises:
            CorruptStateError: It does not fit the state type.
        """
        if text == "null":
            raise CorruptStateError("is null, which is no state", session_id=session_id)
        try:
            if self._adapter is None:
                return loads(text)  # type: ignore[no-any-return]  # T is what JSON gives
            # Documents use the names of the fields, so that an alias may change without a migration.
            return self._adapter.validate_json(text, by_alias=False, by_name=True)
        except ValidationError as error:
            # The first is enough to find it, and its message is pydantic's own text about the type: other parts of
            # the error quote the input, which is the state.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            reason = f"does not fit the state type ({first['type']})"
            raise CorruptStateError(reason, path=jsonpath(first["loc"]), session_id=session_id) from None
        except ValueError:
            raise CorruptStateError("is no JSON text", session_id=session_id) from None


def origin_of(summary: Summary) -> dict[str, JsonValue] | None:
    """Where a session came from.

    Raises:
        CorruptStateError: What is stored for it is no JSON object.
    """
    if summary.origin is None:
        return None
    try:
        origin = loads(summary.origin)
    except ValueError:
        raise CorruptStateError("is no JSON text", path="origin", session_id=summary.key.session_id) from None
    if origin is not None and not isinstance(origin, dict):
        raise CorruptStateError("is no JSON object", path="origin", session_id=summary.key.session_id)
    return origin


def encode_origin(origin: Mapping[str, JsonValue] | None, session_id: SessionId) -> str | None:
    """The JSON text of where a session comes from.

    Raises:
        InvalidStateError: It is no mapping, or could not be read back.
    """
    if origin is None:
        return None
    if not isinstance(origin, Mapping):
        raise InvalidStateError("must be a mapping", path="origin", session_id=session_id)
    try:
        return dumps(dict(origin)).decode()
    except Refused as refused:
        raise InvalidStateError(refused.reason, path=f"origin{refused.path[1:]}", session_id=session_id) from None


def metadata_of(summary: Summary) -> SessionMetadata:
    """The facts about a session.

    Raises:
        CorruptStateError: What is stored for its origin is no JSON object.
    """
    return SessionMetadata(
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        last_accessed_at=summary.last_accessed_at,
        expires_at=summary.expires_at,
        ttl=summary.ttl,
        origin=origin_of(summary),
        owner_id=summary.owner_id,
    )


def _dump(adapter: TypeAdapter[T], state: T) -> Any:
    """What pydantic makes of a state for JSON, under the names of its fields and without computed ones."""
    try:
        tree = adapter.dump_python(state, mode="json", by_alias=False, round_trip=True, warnings=False)
        if _holds_null(tree):
            # Where the type says nothing (Any), pydantic turns NaN into null without a word.
            _refuse_vanished_floats(adapter.dump_python(state, by_alias=False, round_trip=True, warnings=False))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # PydanticSerializationError and UnicodeDecodeError are ValueErrors, and so is what pydantic raises for a cycle.
        raise _located(state, type(error)) from None
    return tree


def _located(state: object, error: type[Exception]) -> Refused:
    """Finds what in the state pydantic could not dump; its own error names the value and not the place."""
    steps: list[object] = []
    while len(steps) < MAX_DEPTH:
        failing = next(((step, inner) for step, inner in _members(state) if not _dumps_alone(inner)), None)
        if failing is None:
            break
        steps.append(failing[0])
        state = failing[1]
    reason = f"is nested more than {MAX_DEPTH} levels deep, or contains itself"
    if len(steps) < MAX_DEPTH:
        reason = f"is a {type(state).__name__} that pydantic cannot dump to JSON ({error.__name__})"
    refused = Refused(reason)
    for step in reversed(steps):
        refused.inside(step)
    return refused


def _members(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    if isinstance(value, BaseModel) or is_dataclass(value):
        return vars(value).items()
    return ()


def _dumps_alone(value: object) -> bool:
    try:
        _ANYTHING.dump_python(value, mode="json", warnings=False)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False
    return True


def _holds_null(tree: Any) -> bool:
    if type(tree) is dict:
        return any(map(_holds_null, tree.values()))
    if type(tree) is list:
        return any(map(_holds_null, tree))
    return tree is None


def _refuse_vanished_floats(value: object) -> None:
    """Raises Refused where a state, dumped without a detour by JSON, holds NaN or an infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("is not a finite number; JSON has no NaN and no infinity")
    members: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        members = [*value.items(), *((key, key) for key in value)]
    elif isinstance(value, list | tuple | set | frozenset | deque):
        members = enumerate(value)
    for step, inner in members:
        try:
            _refuse_vanished_floats(inner)
        except Refused as refused:
            refused.inside(step)
            raise
