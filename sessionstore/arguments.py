"""Checks of the arguments that SessionManager takes; each error names the argument."""

from __future__ import annotations

from typing import Any, Final, get_args

from .codec.jsontext import named
from .codec.states import UnstorableText
from .errors import ConfigurationError, InvalidStateError
from .ids import SessionId, fault_of, plain_text

_MOST_STATE_BYTES: Final = 268_435_455
"""The largest object or array of PostgreSQL's jsonb. The server takes half a minute to refuse a larger one."""

_MOST_KEYS: Final = 4096


def check_settings(max_state_bytes: int, idempotency_keys: int, unstorable_text: str) -> None:
    """Checks the settings of a manager.

    Raises:
        ConfigurationError: A number is no int or out of range, or the choice is unknown.
    """
    for name, count in (("max_state_bytes", max_state_bytes), ("idempotency_keys", idempotency_keys)):
        if type(count) is not int:
            raise ConfigurationError(f"{name} must be a whole number, not {type(count).__name__}")
    if max_state_bytes < 1:
        raise ConfigurationError(f"max_state_bytes must be positive, not {max_state_bytes}")
    if max_state_bytes > _MOST_STATE_BYTES:
        raise ConfigurationError(
            f"max_state_bytes must be at most {_MOST_STATE_BYTES:,}, which is what PostgreSQL's jsonb holds, not "
            f"{max_state_bytes:,}"
        )
    if not 1 <= idempotency_keys <= _MOST_KEYS:
        raise ConfigurationError(f"idempotency_keys must be from 1 to {_MOST_KEYS}, not {idempotency_keys}")
    if unstorable_text not in get_args(UnstorableText):
        raise ConfigurationError(f'unstorable_text must be "refuse" or "replace", not {unstorable_text!a}')


def check_expected_version(version: object) -> None:
    """Checks an ``expected_version``.

    Raises:
        ConfigurationError: The version is no int. As a text, say, it would equal no version, and the error of the
            conflict would name the same number twice.
    """
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise ConfigurationError(
            f"expected_version must be the version of a result, an int, and not {named(type(version))}"
        )


def check_idempotency_key(key: object) -> None:
    """Checks an ``idempotency_key``.

    Raises:
        ConfigurationError: The key breaks the rule for ids.
    """
    if key is not None and (fault := fault_of(key)):
        raise ConfigurationError(f"the idempotency_key {fault}")


def owner_of_new(owner_id: str | None, session_id: SessionId) -> str | None:
    """Returns the owner of a session that is to be created.

    Raises:
        InvalidStateError: The owner breaks the rule for ids.
    """
    if owner_id is None:
        return None
    if fault := fault_of(owner_id):
        raise InvalidStateError(fault, path="owner_id", session_id=session_id)
    return plain_text(owner_id)


def owner_filter(owner_id: str | None) -> dict[str, Any]:
    """Returns the owner as keyword arguments of a provider; none without an owner.

    Providers outside this package need not take ``owner_id``, so they are not given one that nobody asked for.

    Raises:
        ConfigurationError: The owner breaks the rule for ids.
    """
    if owner_id is None:
        return {}
    if fault := fault_of(owner_id):
        raise ConfigurationError(f"the owner_id {fault}")
    return {"owner_id": plain_text(owner_id)}
