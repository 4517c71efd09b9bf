"""A Django project for tests: its settings, with sessions in the storage of a URL."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

ENGINE = "sessionstore.integrations.django"


def configure(url: str, *apps: str, **more: Any) -> None:
    """Settles the settings of this process."""
    settings.configure(
        **{
            "SECRET_KEY": "of a test",
            "INSTALLED_APPS": ["django.contrib.sessions", ENGINE, *apps],
            "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
            "SESSION_ENGINE": ENGINE,
            "SESSIONSTORE": {"URL": url},
            "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            "ALLOWED_HOSTS": ["*"],
            "USE_TZ": True,
            **more,
        }
    )
    django.setup()
