"""Keeper: the storage that Django's settings name, opened once in a process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypedDict

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ...errors import SessionStoreError
from ...sync import SessionManager, open_storage
from ..first_states import FirstStates

_KNOWN: Final = ("URL", "SCHEMA", "NAMESPACE", "OPTIONS")


class Stored(TypedDict):
    """The state of a session.

    Attributes:
        data: The values by their keys, each as the text that Django's serializer makes.
        until: When the session expires, in seconds since the epoch, by the clock of the process that saved it.
    """

    data: dict[str, str]
    until: float


class Keeper:
    """A storage, and a manager of the sessions in it.

    Attributes:
        named: The options of ``sessionstore migrate upgrade`` that the settings give, with their values.

    Args:
        wanted: The setting ``SESSIONSTORE``.
    """

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        if unknown := sorted(wanted.keys() - set(_KNOWN)):
            raise ImproperlyConfigured(f"SESSIONSTORE has no key {unknown[0]!r}; its keys are {', '.join(_KNOWN)}")
        options = dict(wanted.get("OPTIONS", {}))
        if "SCHEMA" in wanted:
            options["schema"] = wanted["SCHEMA"]
        self.named = {"database-url": "URL"} if "URL" in wanted else {}
        if "schema" in options:
            self.named["schema"] = "SCHEMA"
        self.first_states: FirstStates[Stored] = FirstStates()
        self.namespace: str = wanted.get("NAMESPACE", "django")
        try:
            self.storage = open_storage(wanted.get("URL"), **options)
            self.manager: SessionManager[Stored] = SessionManager(
                self.first_states, self.storage, self.namespace, ttl=timedelta(days=14)
            )
        except SessionStoreError as error:
            raise ImproperlyConfigured(f"SESSIONSTORE: {error}") from error


_KEPT: Final[dict[str, Keeper]] = {}
"""The keeper of this process, if it was made already."""


def keeper() -> Keeper:
    """Returns the keeper of this process. It connects at its first call, and may be made before a fork.

    Raises:
        ImproperlyConfigured: The setting ``SESSIONSTORE`` is wrong.
    """
    # If several threads make a keeper at once, all use the first. The others have opened no connection. A lock could
    # stay held for ever in a child that is forked meanwhile.
    return _KEPT.get("keeper") or _KEPT.setdefault("keeper", Keeper(getattr(settings, "SESSIONSTORE", {})))


def forget() -> None:
    """Forgets the keeper of this process. The next call makes another one."""
    _KEPT.clear()


def _changed(*, setting: str, **_: object) -> None:
    if setting == "SESSIONSTORE":
        forget()


setting_changed.connect(_changed)
