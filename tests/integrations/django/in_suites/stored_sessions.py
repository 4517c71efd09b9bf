"""The settings for Django's own runner of its tests: those of its test_sqlite, with sessions in our store.

Found by its own name: Django's tests lie in a folder called `tests`, as ours do.
"""

from __future__ import annotations

import os

DATABASES = {name: {"ENGINE": "django.db.backends.sqlite3"} for name in ("default", "other")}
SECRET_KEY = "of a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
SESSION_ENGINE = "sessionstore.integrations.django"
SESSIONSTORE = {"URL": os.environ["STORED_SESSIONS_URL"]}
