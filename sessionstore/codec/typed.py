"""Writes and reads values of one type with pydantic, and checks that they are read back as they were written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Final, Generic, Literal, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from .adapters import adapter_of, complete
from .dumping import dump
from .equality import Equality
from .jsontext import Refused, loads
from .location import Place, first_place
from .schema import Unstored, order_matters

T = TypeVar("T")

_PYDANTIC_FAULTS: Final = frozenset(get_args(ErrorType))


class Typed(Generic[T]):
    """Writes and reads values of one type with pydantic. Each method raises Refused for a value that it cannot keep.

    Args:
        given_type: The type, or its TypeAdapter.
        noun: What a value is called in error messages.
        read_fallback: Reads a text that pydantic's JSON parser refuses. pydantic then validates the value.

    Raises:
        ConfigurationError: pydantic has no schema for the type.
    """

    def __init__(
        self,
        given_type: type[T] | TypeAdapter[T],
        noun: Literal["state", "item"] = "state",
        read_fallback: Callable[[str], Any] | None = None,
    ) -> None:
        self._argument = f"{noun}_type"
        self._misfit = f"does not fit the {noun} type"
        self._read_fallback = read_fallback
        self._adapter: TypeAdapter[T] = adapter_of(given_type, self._argument)

    def complete(self) -> None:
        """Raises ConfigurationError as long as the type names a type that is not defined."""
        if not self._adapter.pydantic_complete:
            complete(self._adapter, self._argument)

    def dumped(self, value: T) -> Any:
        """Returns the value as JSON values.

        Raises:
            ConfigurationError: As complete().
        """
        self.complete()
        return dump(self._adapter, value)

    # The next two are computed when they are needed: the type has no schema before complete() has returned.
    @cached_property
    def order_matters(self) -> bool:
        """Whether reading may depend on the order of keys."""
        return order_matters(self._adapter)

    @cached_property
    def _equality(self) -> Equality:
        return Equality(Unstored(self._adapter))

    def checked(self, text: str, value: T) -> T:
        """Reads the text back, checks that the result equals the value, and returns the result."""
        copy = self.read(text)
        self._equality.check(value, copy)
        return copy

    def read(self, text: str) -> T:
        """Returns the value of a JSON text.

        Raises:
            ValueError: ``read_fallback`` found that the text is no JSON.
        """
        refused: Refused | None = None
        try:
            # Documents use the names of the fields, so that a service may change an alias without a migration.
            return self._adapter.validate_json(text, by_alias=False, by_name=True)
        except ValidationError as error:
            if self._read_fallback is None or not _is_no_json(error):
                refused = self._first_of(error, lambda: (self._read_fallback or loads)(text))
        except Exception as error:  # noqa: BLE001  # a user's validator may raise anything, and quote the value
            refused = self._raised(error)
        if refused is not None:
            raise refused
        assert self._read_fallback is not None
        return self._validated(self._read_fallback(text))

    def _validated(self, document: Any) -> T:
        try:
            return self._adapter.validate_python(document, by_alias=False, by_name=True)
        except ValidationError as error:
            refused = self._first_of(error, lambda: document)
        except Exception as error:  # noqa: BLE001  # as above
            refused = self._raised(error)
        raise refused

    def _raised(self, error: Exception) -> Refused:
        return Refused(f"{self._misfit} ({type(error).__name__})")

    def _first_of(self, error: ValidationError, document: Callable[[], Any]) -> Refused:
        """The refusal for the first place that does not fit, with the path and the kind of fault. It shows no value."""
        errors = _details(error)
        if not errors:
            return Refused(f"{self._misfit} (an error whose text cannot be read)")
        first = errors[0]
        raised = first.get("ctx", {}).get("error")
        fault = first["type"] if first["type"] in _PYDANTIC_FAULTS else "custom_error"
        if isinstance(raised, Exception):
            fault = type(raised).__name__
        try:
            place = first_place(document(), errors)
        except (ValueError, Refused):  # pydantic accepts texts that are no strict JSON
            place = Place(first["loc"])
        return Refused(f"{self._misfit} ({'no type of a union' if place.union else fault})", place.steps)


def _is_no_json(error: ValidationError) -> bool:
    return any(found["type"] == "json_invalid" and not found["loc"] for found in _details(error))


def _details(error: ValidationError) -> list[ErrorDetails]:
    """Returns the errors that pydantic found; none if the text of a user's exception cannot be read."""
    try:
        return error.errors(include_url=False, include_input=False)
    except Exception:  # noqa: BLE001  # pydantic calls __str__ of the user's exception, which may raise
        return []
