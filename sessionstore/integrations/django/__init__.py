"""Django's sessions: ``SESSION_ENGINE = "sessionstore.integrations.django"``, and the same name in INSTALLED_APPS.

docs/frameworks/django.md says what the settings are.
"""

from __future__ import annotations

from ..missing import missing_extra

try:
    from .store import SessionStore
except ModuleNotFoundError as error:
    raise missing_extra("django", error) from error

__all__ = ["SessionStore"]
