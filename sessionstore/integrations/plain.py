"""Plain: values of a framework's pydantic types as plain JSON values, and back."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict, TypeAdapter

from ..codec.verbatim import dumps
from ..errors import CorruptStateError, InvalidStateError
from ..ids import SessionId

V = TypeVar("V")

Noun: TypeAlias = Literal["state", "items"]

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escaped surrogate in JSON. Only lone ones are escaped."""


class Plain(Generic[V]):
    """Makes plain JSON of values of one type, and reads them again. Bytes become base64.

    A value that is read may differ from the value that was written. For example, a datetime in a field of type Any is
    read as a string.

    Args:
        kind: A list of the type.
        noun: What errors call the values: a state or items.
    """

    def __init__(self, kind: type[list[V]], noun: Noun) -> None:
        # The configuration of the list counts for its members too, unless they have one of their own.
        config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", defer_build=True)
        self._adapter: TypeAdapter[list[V]] = TypeAdapter(kind, config=config)
        self._noun: Noun = noun

    def write(self, values: Sequence[V], session_id: SessionId) -> list[dict[str, Any]]:
        """Returns the values as JSON objects.

        Raises:
            InvalidStateError: A value could not be read again.
        """
        written: list[dict[str, Any]] = self._adapter.dump_python([*values], mode="json")
        try:
            self.read(written, session_id)
        except CorruptStateError as error:
            reason = "would not be read back as they are written"
            raise InvalidStateError(reason, session_id=session_id, noun=self._noun) from error.__cause__
        return written

    def read(self, written: Sequence[Any], session_id: SessionId) -> list[V]:
        """Returns the values of JSON objects.

        Raises:
            CorruptStateError: The objects do not fit the type.
        """
        text = dumps([*written])
        try:
            # pydantic cannot read lone surrogates from JSON text, and reads base64 only from JSON text.
            if _SURROGATE.search(text):
                return self._adapter.validate_python(_with_bytes([*written]))
            return self._adapter.validate_json(text)
        except ValueError as error:
            reason = "does not fit the framework's types"
            raise CorruptStateError(reason, session_id=session_id, noun=self._noun) from error

    def write_text(self, value: V, session_id: SessionId) -> str:
        """Returns a value as JSON text in ASCII. A state can hold this text, but no NUL and no lone surrogate.

        Raises:
            InvalidStateError: As write().
        """
        return json.dumps(self.write([value], session_id)[0])

    def read_text(self, text: object, session_id: SessionId) -> V:
        """Returns the value of a text that write_text() made.

        Raises:
            CorruptStateError: write_text() did not make the text.
        """
        try:
            written = json.loads(text if isinstance(text, str) else "")
        except ValueError as error:
            raise CorruptStateError("is no JSON", session_id=session_id, noun=self._noun) from error
        return self.read([written], session_id)[0]


def _with_bytes(value: Any) -> Any:
    """Returns a JSON value in which the contents of images and files are bytes."""
    if isinstance(value, list):
        return [*map(_with_bytes, value)]
    if not isinstance(value, dict):
        return value
    made = {key: _with_bytes(member) for key, member in value.items()}
    if made.get("kind") == "binary" and isinstance(made.get("data"), str):
        made["data"] = urlsafe_b64decode(made["data"])
    return made
