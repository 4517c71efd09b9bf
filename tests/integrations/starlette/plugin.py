"""Puts our middleware in the place of Starlette's, for Starlette's own tests.

Loaded with ``-p plugin`` from this folder: those tests lie in a package called `tests`, as ours do.
"""

from __future__ import annotations

import os
from datetime import timedelta

import starlette.middleware.sessions as theirs
from starlette.types import ASGIApp

from sessionstore import open_storage
from sessionstore.integrations.starlette import Session, SessionMiddleware
from sessionstore.integrations.starlette.cookie import SameSite

_STORAGE = open_storage(os.environ["SESSIONSTORE_DATABASE_URL"])


class InTheirPlace(SessionMiddleware):
    """Takes the arguments of Starlette's middleware. A signing key is not needed."""

    def __init__(
        self,
        app: ASGIApp,
        secret_key: str,
        session_cookie: str = "session",
        max_age: int | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
    ) -> None:
        super().__init__(
            app,
            _STORAGE,
            cookie=session_cookie,
            ttl=None if max_age is None else timedelta(seconds=max_age),
            https_only=https_only,
            same_site=same_site,
            path=path,
            domain=domain,
            partitioned=partitioned,
        )


theirs.SessionMiddleware = InTheirPlace  # type: ignore[assignment,misc]
theirs.Session = Session  # type: ignore[assignment,misc]
