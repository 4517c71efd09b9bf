"""What pydantic makes of a state type: at once where the type is whole, else when the names in it are defined."""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

from pydantic import PydanticUndefinedAnnotation, TypeAdapter

from ..errors import ConfigurationError

T = TypeVar("T")


def adapter_of(state_type: type[T] | TypeAdapter[T]) -> TypeAdapter[T]:
    """The adapter of a state type, which may be incomplete.

    Raises:
        ConfigurationError: pydantic can make nothing of the type.
    """
    if isinstance(state_type, TypeAdapter):
        return state_type
    try:
        return TypeAdapter(state_type)
    except Exception as error:
        raise _no_schema(state_type, error) from error


def complete(adapter: TypeAdapter[Any]) -> None:
    """Completes an adapter, if it was made before all that its type names was defined.

    Raises:
        ConfigurationError: The type is still incomplete.
    """
    # Outside of the except blocks, because pydantic's errors come through frames that have the state.
    refused: ConfigurationError | None = None
    undefined = ""
    try:
        if adapter.rebuild(_types_namespace={}) is not False:
            return
    except PydanticUndefinedAnnotation as error:
        undefined = f" ({error.name!r})"
    except Exception as error:  # noqa: BLE001  # whatever pydantic or a type's own hook raises
        refused = _no_schema(adapter, error)
    raise refused or ConfigurationError(
        f"the state_type {_shown(adapter)} is not fully defined: it names a type that cannot be found{undefined}; "
        "define that type in the same module, or call model_rebuild() where it is known, before the first call; or "
        "give a TypeAdapter that was made or rebuilt there"
    )


def _no_schema(state_type: object, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"pydantic has no schema for the state_type {_shown(state_type)} or for a part of it ({type(error).__name__}); "
        "give a model, a dataclass or a TypedDict of types that pydantic knows, or give the part "
        "__get_pydantic_core_schema__()"
    )


def _shown(state_type: object) -> str:
    if isinstance(state_type, TypeAdapter):
        # There is no public name for the type that it is of.
        return _shown(state_type._type)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return repr(state_type) if get_origin(state_type) else getattr(state_type, "__qualname__", repr(state_type))
