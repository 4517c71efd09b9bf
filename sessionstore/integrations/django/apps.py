"""The Django application. Its check tells, before a deploy, whether the tables exist."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from ...errors import SchemaError, SessionStoreError
from .keeper import Keeper, keeper


class SessionstoreConfig(AppConfig):
    """The application with the check. Put ``sessionstore.integrations.django`` into INSTALLED_APPS."""

    name = "sessionstore.integrations.django"
    label = "sessionstore"
    verbose_name = "Sessions"

    def ready(self) -> None:
        checks.register(check_storage)


def check_storage(app_configs: Any = None, **_: object) -> list[checks.CheckMessage]:
    """Checks whether sessions can be kept: the settings, the tables, and the privileges of the database role."""
    try:
        kept = keeper()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="sessionstore.E001")]
    try:
        kept.storage.check()
    except SchemaError as error:
        return [checks.Error(str(error), hint=_hint(kept), id="sessionstore.E002")]
    except SessionStoreError as error:
        return [checks.Error(str(error), id="sessionstore.E003")]
    return []


def _hint(kept: Keeper) -> str:
    """Returns how to make the tables. Names no URL, which may hold a password; the command reads no Django settings."""
    named = kept.named
    if not named:
        return "run `sessionstore migrate upgrade`"
    options = "".join(f" --{option} {what}" for option, what in named.items())
    return f"run `sessionstore migrate upgrade{options}`, with the values that SESSIONSTORE in the settings has"
