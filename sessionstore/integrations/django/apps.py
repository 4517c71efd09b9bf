"""The Django application: its check tells a deploy whether the tables are there."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from ...errors import SchemaError, SessionStoreError
from .keeper import keeper


class SessionstoreConfig(AppConfig):
    """Put ``sessionstore.integrations.django`` into INSTALLED_APPS to have the check."""

    name = "sessionstore.integrations.django"
    label = "sessionstore"
    verbose_name = "Sessions"

    def ready(self) -> None:
        checks.register(check_storage)


def check_storage(app_configs: Any = None, **_: object) -> list[checks.CheckMessage]:
    """Looks whether sessions can be kept: the settings, the tables, and the privileges of the role."""
    try:
        keeper().storage.check()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="sessionstore.E001")]
    except SchemaError as error:
        return [checks.Error(str(error), hint="run `sessionstore migrate upgrade`", id="sessionstore.E002")]
    except SessionStoreError as error:
        return [checks.Error(str(error), id="sessionstore.E003")]
    return []
