"""Builds pydantic's adapter of a type, and completes it once all names in the type are defined."""

from __future__ import annotations

from typing import Any, Final, TypeVar, get_origin

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter

from ..errors import ConfigurationError

T = TypeVar("T")

_LONGEST_REASON: Final = 200


def adapter_of(given: type[T] | TypeAdapter[T], argument: str) -> TypeAdapter[T]:
    """Returns the adapter of a type. The adapter is incomplete if the type names types that are not defined yet.

    Args:
        given: The type, or its adapter.
        argument: The name of the caller's argument, for error messages.

    Raises:
        ConfigurationError: pydantic has no schema for the type.
    """
    if isinstance(given, TypeAdapter):
        return given
    try:
        return TypeAdapter(given)
    except Exception as error:
        raise _no_schema(given, argument, error) from error


def complete(adapter: TypeAdapter[Any], argument: str) -> None:
    """Completes an adapter that was made before all names in its type were defined.

    Raises:
        ConfigurationError: The type is still incomplete.
    """
    # Raised outside the except blocks: pydantic's error would become the context, and its frames hold the state.
    refused: ConfigurationError | None = None
    undefined = ""
    try:
        if adapter.rebuild(_types_namespace={}) is not False:
            return
    except PydanticUndefinedAnnotation as error:
        undefined = f" ({error.name!r})"
    except Exception as error:  # noqa: BLE001  # whatever pydantic or a type's own hook raises
        refused = _no_schema(adapter, argument, error)
    raise refused or ConfigurationError(
        f"the {argument} {_shown(adapter)} is not fully defined: it names a type that cannot be found{undefined}; "
        "before the first call, define that type in the same module or call model_rebuild() where the type is known, "
        "or give a TypeAdapter that was made or rebuilt there"
    )


def _no_schema(given: object, argument: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"pydantic has no schema for the {argument} {_shown(given)} or for a part of it ({_reason(error)}); "
        "give a model, a dataclass or a TypedDict of types that pydantic knows, or define "
        "__get_pydantic_core_schema__() in that part"
    )


def _reason(error: Exception) -> str:
    """Returns why pydantic refused a type. Of an error that is not pydantic's, only the class is returned."""
    if not isinstance(error, PydanticUserError):
        return type(error).__name__
    said = str(error.message).partition("\n")[0].partition(". ")[0].removesuffix(".")  # the first sentence
    return said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]} ..."


def _shown(given: object) -> str:
    if isinstance(given, TypeAdapter):
        # pydantic has no public attribute for the type of an adapter.
        return _shown(given._type)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return repr(given) if get_origin(given) else getattr(given, "__qualname__", repr(given))
