"""SessionMiddleware: gives each request the session of its browser, and the browser its cookie."""

from __future__ import annotations

import inspect
import logging
from datetime import timedelta
from typing import Final, cast

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ...codec.states import UnstorableText
from ...errors import SchemaError, StorageError
from ...manager import DEFAULT_TTL
from ...storage import StorageProvider
from .cookie import Cookie, SameSite, max_age
from .problems import problem_response
from .session import Session
from .store import Store

logger = logging.getLogger(__name__)

_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""The messages that carry the headers of a response."""


class SessionMiddleware:
    """Keeps ``request.session`` in a storage. The cookie of the browser holds only a random id.

    A request with the cookie loads its session in one round trip, before the application runs. Before the first byte of
    the response, one update stores the keys that this request changed. So concurrent requests lose nothing. A request
    that did not use the session writes nothing. See docs/frameworks/starlette.md.

    Args:
        app: The application.
        storage: Where sessions are kept; the caller closes it.
        cookie: The name of the cookie. With ``"__Host-session"`` no other host of the domain can plant one.
        ttl: How long a session lives after a request that used it; also the cookie's Max-Age. None: until the
            browser ends. If the argument is missing, ``SESSION_TTL_SECONDS`` decides, then 30 minutes.
        max_lifetime: How long a session lives at most, however often it is used (absolute timeout); None: no limit.
        https_only: Whether the cookie is sent over HTTPS only. False is for development.
        same_site: Which requests of other sites bring the cookie: those that open a page ("lax"), none, or all.
        path: The path below which the browser sends the cookie.
        domain: The domain to whose hosts the browser sends the cookie; None: only this host.
        partitioned: Whether the browser keeps a cookie for each site that embeds this one.
        namespace: Separates these sessions from others in the storage.
        timeout: How long each call waits for the storage; None: for as long as it takes.
        unstorable_text: What to do with NUL characters and lone surrogates, which no storage can keep. "refuse": an
            InvalidStateError. "replace": U+FFFD takes the place of each.

    Raises:
        ConfigurationError: A browser would refuse the cookie, or a duration or the namespace is invalid.
    """

    def __init__(
        self,
        app: ASGIApp,
        storage: StorageProvider,
        *,
        cookie: str = "session",
        ttl: timedelta | None = DEFAULT_TTL,
        max_lifetime: timedelta | None = None,
        https_only: bool = True,
        same_site: SameSite = "lax",
        path: str = "/",
        domain: str | None = None,
        partitioned: bool = False,
        namespace: str = "starlette",
        timeout: timedelta | None = None,
        unstorable_text: UnstorableText = "refuse",
    ) -> None:
        self.app = app
        self._cookie = Cookie(cookie, https_only, same_site, path, domain, partitioned)
        self._store = Store(
            storage,
            namespace,
            ttl=ttl,
            max_lifetime=max_lifetime,
            timeout=timeout,
            unstorable_text=unstorable_text,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        session = await self._store.load(HTTPConnection(scope).cookies.get(self._cookie.name))
        scope["session"] = session
        failed: Exception | None = None

        async def send_with_cookie(message: Message) -> None:
            nonlocal failed
            if message["type"] in _STARTS and not session.row.begun:
                try:
                    await self._begin(session, message)
                except Exception as error:
                    failed = error
                    raise
                failed = None
            await send(message)

        try:
            await self.app(scope, receive, send_with_cookie)
        except WebSocketDisconnect:
            await self._end(session)
            raise
        except Exception:
            # Frameworks replace an error that send() raises by an error of their own.
            if failed is None:
                raise
        if failed is None:
            await self._end(session)
        elif scope["type"] != "http" or (response := await _answer(Request(scope, receive), failed)) is None:
            raise failed
        else:
            await response(scope, receive, send)

    async def _begin(self, session: Session, message: Message) -> None:
        """Stores the session, and sets the headers of the response that the browser and caches need."""
        await self._store.save(session)
        row = session.row
        cookie = None
        if row.gone:
            # A late response must not remove the cookie of a newer session.
            pass
        elif row.token is None:
            if row.ended and row.given is not None:
                cookie = self._cookie.delete()
        elif row.written or (session.accessed and self._store.is_due(session) and await self._store.slide(session)):
            assert row.seen is not None
            cookie = self._cookie.set(row.token, max_age(row.seen))
        message.setdefault("headers", [])
        headers = MutableHeaders(scope=message)
        if session.accessed or cookie is not None:
            headers.add_vary_header("Cookie")
        if cookie is not None:
            headers.append("Set-Cookie", cookie)
            # A shared cache must not hand the cookie to others (RFC 9111, section 5.2.2.4).
            headers.append("Cache-Control", 'no-cache="Set-Cookie"')
        row.begun = True

    async def _end(self, session: Session) -> None:
        """Stores the changes since the response began: by a stream, by background tasks, or by WebSocket messages."""
        if session.row.begun:
            await self._store.save(session)


async def _answer(request: Request, failed: Exception) -> Response | None:
    """Returns the response to a request whose session could not be stored; None: the server answers with status 500.

    If the application has a handler for the error, this handler makes the response.
    """
    handlers = getattr(request.scope.get("app"), "exception_handlers", {})
    kinds = [kind for kind in type(failed).__mro__ if kind in handlers and kind is not Exception]
    if kinds:
        handler = handlers[kinds[0]]
        if inspect.iscoroutinefunction(handler):
            return cast("Response | None", await handler(request, failed))
        return cast("Response | None", await run_in_threadpool(handler, request, failed))
    if isinstance(failed, StorageError | SchemaError):
        logger.error("a session could not be stored", exc_info=failed)
        return problem_response(failed)
    return None
