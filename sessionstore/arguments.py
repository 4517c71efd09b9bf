"""Checks the arguments of SessionManager. Each error names the argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar, get_args

from .codec.jsontext import named
from .codec.states import UnstorableText
from .errors import ConfigurationError, InvalidStateError
from .ids import SessionId, fault_of, plain_text
from .storage.journal import MOST_ITEMS

I = TypeVar("I")  # noqa: E741  # as in SessionManager[T, I]

_MOST_STATE_BYTES: Final = 268_435_455
"""The largest object or array of PostgreSQL's jsonb. The server takes half a minute to refuse a larger one."""

_MOST_KEYS: Final = 4096

_MOST: Final = 2**63 - 1
"""The largest position that the databases can hold."""

_ALL: Final = 2**31 - 1
"""The largest number of items or sessions that a storage is asked for. No answer could hold more."""


def check_settings(
    max_state_bytes: int,
    max_item_bytes: int,
    idempotency_keys: int,
    keep_items: int | None,
    unstorable_text: str,
) -> None:
    """Checks the settings of a manager.

    Raises:
        ConfigurationError: A number is no int or out of range, or ``unstorable_text`` is unknown.
    """
    for name, size in (("max_state_bytes", max_state_bytes), ("max_item_bytes", max_item_bytes)):
        _check_whole(size, name)
        if size < 1:
            raise ConfigurationError(f"{name} must be positive, not {_shown(size)}")
        if size > _MOST_STATE_BYTES:
            raise ConfigurationError(
                f"{name} must be at most {_MOST_STATE_BYTES:,}, the limit of PostgreSQL's jsonb, not {_shown(size)}"
            )
    _check_whole(idempotency_keys, "idempotency_keys")
    if keep_items is not None:
        _check_whole(keep_items, "keep_items")
        if not 1 <= keep_items <= _ALL:
            raise ConfigurationError(f"keep_items must be from 1 to {_ALL} or None, not {_shown(keep_items)}")
    if not 1 <= idempotency_keys <= _MOST_KEYS:
        raise ConfigurationError(f"idempotency_keys must be from 1 to {_MOST_KEYS}, not {_shown(idempotency_keys)}")
    if unstorable_text not in get_args(UnstorableText):
        raise ConfigurationError(f'unstorable_text must be "refuse" or "replace", not {unstorable_text!a}')


def check_storage(storage: object) -> None:
    """Checks that the argument is a storage provider.

    Raises:
        ConfigurationError: The argument is something else, such as a URL or an engine.
    """
    if not hasattr(storage, "batching") or not callable(getattr(storage, "get_many", None)):
        raise ConfigurationError(
            f"storage must be a storage provider, not {named(type(storage))}; make one with open_storage(url) or "
            "SqlStorageProvider(engine)"
        )


def check_flag(given: object, name: str) -> None:
    """Checks an argument that is True or False.

    Raises:
        ConfigurationError: The argument is no bool.
    """
    if not isinstance(given, bool):
        raise ConfigurationError(f"{name} must be True or False, not {named(type(given))}")


def check_prefix(prefix: object) -> None:
    """Checks a prefix of ids.

    Raises:
        ConfigurationError: The prefix is no string.
    """
    if not isinstance(prefix, str):
        raise ConfigurationError(f'prefix must be a string, not {named(type(prefix))}; "" stands for all ids')


def check_expected_version(version: object) -> None:
    """Checks an ``expected_version``.

    Raises:
        ConfigurationError: The version is no int. A text would equal no version, and the error of the conflict would
            show the same number twice.
    """
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        raise ConfigurationError(
            f"expected_version must be an int, the version of an earlier result, not {named(type(version))}"
        )


def check_idempotency_key(key: object) -> None:
    """Checks an ``idempotency_key``.

    Raises:
        ConfigurationError: The key breaks the rule for ids.
    """
    if key is not None and (fault := fault_of(key)):
        raise ConfigurationError(f"the idempotency_key {fault}")


def item_id(given: object, name: str) -> str:
    """Returns the id of an item as a plain ``str``.

    Raises:
        ConfigurationError: The id breaks the rule for ids.
    """
    if fault := fault_of(given):
        raise ConfigurationError(f"{name} {fault}")
    assert isinstance(given, str)
    return plain_text(given)


def log_name(log: object) -> str:
    """Returns the name of a log as a plain ``str``.

    Raises:
        ConfigurationError: The name is not empty and breaks the rule for ids.
    """
    if log == "" and isinstance(log, str):
        return ""
    if fault := fault_of(log):
        raise ConfigurationError(f"the log {fault}")
    assert isinstance(log, str)
    return plain_text(log)


def new_items(items: Sequence[I], ids: Sequence[str | None] | None, name: str) -> list[tuple[int, I, str | None]]:
    """Returns the items to append, each with its index and its id. Items that repeat an id are left out.

    Args:
        items: The items.
        ids: Their ids; None: they have none.
        name: The name of the argument with the items.

    Raises:
        ConfigurationError: The items or ids are no sequence, too many, or not equally many, or an id breaks the rule.
    """
    _check_sequence(items, name)
    if len(items) > MOST_ITEMS:
        raise ConfigurationError(f"{name} must have at most {MOST_ITEMS:,} items, not {len(items):,}")
    if ids is None:
        return [(index, item, None) for index, item in enumerate(items)]
    _check_sequence(ids, "ids")
    if len(ids) != len(items):
        raise ConfigurationError(f"ids must be one for each item; there are {len(items)} items and {len(ids)} ids")
    new: list[tuple[int, I, str | None]] = []
    seen: set[str] = set()
    for index, (item, given) in enumerate(zip(items, ids, strict=True)):
        own_id = None if given is None else item_id(given, f"ids[{index}]")
        if own_id in seen:
            continue
        if own_id is not None:
            seen.add(own_id)
        new.append((index, item, own_id))
    return new


def wanted_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Returns the ids of items to look for.

    Raises:
        ConfigurationError: The ids are no sequence, or an id breaks the rule.
    """
    _check_sequence(ids, "ids")
    return tuple(item_id(given, f"ids[{index}]") for index, given in enumerate(ids))


def count(given: object, name: str, *, least: int = 0) -> int:
    """Returns a number of items or sessions, lowered to what a storage can hold at most.

    Raises:
        ConfigurationError: The number is no int, or out of range.
    """
    number = _check_whole(given, name)
    if not least <= number <= _MOST:
        raise ConfigurationError(f"{name} must be from {least} to {_MOST}, not {_shown(number)}")
    return min(number, _ALL)


def position(given: object, name: str) -> int:
    """Returns a position.

    Raises:
        ConfigurationError: The position is no int, negative, or beyond 64 bits.
    """
    number = _check_whole(given, name)
    if not 0 <= number <= _MOST:
        raise ConfigurationError(f"{name} must be a position, from 0 to {_MOST}, not {_shown(number)}")
    return number


def position_or_none(given: object, name: str) -> int | None:
    """Returns a position; None stays None.

    Raises:
        ConfigurationError: As position().
    """
    return None if given is None else position(given, name)


def _check_whole(given: object, name: str) -> int:
    if not isinstance(given, int) or isinstance(given, bool):
        raise ConfigurationError(f"{name} must be a whole number, not {named(type(given))}")
    return int(given)


def _shown(number: int) -> str:
    # Python refuses to write an int of more than 4,300 digits.
    return f"{number:,}" if abs(number) <= _MOST else "a number beyond 64 bits"


def _check_sequence(given: object, name: str) -> None:
    if type(given) is list or type(given) is tuple:  # fast path: isinstance() of an abstract class is slow
        return
    # A text is a sequence too, but was probably given by accident: a single item instead of a list.
    if not isinstance(given, Sequence) or isinstance(given, str | bytes | bytearray | memoryview):
        raise ConfigurationError(f"{name} must be a list or another sequence, not {named(type(given))}")


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
    """Returns the owner as keyword arguments for a provider. Without an owner, there are no arguments.

    Providers outside this package need not take ``owner_id``, so it is passed only if a caller names an owner.

    Raises:
        ConfigurationError: The owner breaks the rule for ids.
    """
    if owner_id is None:
        return {}
    if fault := fault_of(owner_id):
        raise ConfigurationError(f"the owner_id {fault}")
    return {"owner_id": plain_text(owner_id)}
