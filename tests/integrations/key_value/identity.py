"""An identity provider for one user, who always agrees: what the OAuth proxy of FastMCP stands before."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route


class IdentityProvider:
    """Its endpoints.

    Attributes:
        url: Where it listens.
        logins: How many times the user has logged in.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.logins = 0
        self._codes: set[str] = set()
        self._tokens: set[str] = set()
        self.app = Starlette(
            routes=[
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/introspect", self._introspect, methods=["POST"]),
            ]
        )

    async def _authorize(self, request: Request) -> Response:
        self.logins += 1
        code = secrets.token_urlsafe(16)
        self._codes.add(code)
        query = urlencode({"code": code, "state": request.query_params["state"]})
        return RedirectResponse(f"{request.query_params['redirect_uri']}?{query}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        if form["grant_type"] == "authorization_code":
            self._codes.remove(str(form["code"]))
        token = secrets.token_urlsafe(16)
        self._tokens.add(token)
        answer = {"access_token": token, "refresh_token": "refresh", "token_type": "Bearer", "expires_in": 3600}
        return JSONResponse({**answer, "scope": "read"})

    async def _introspect(self, request: Request) -> Response:
        form = await request.form()
        if form["token"] not in self._tokens:
            return JSONResponse({"active": False})
        return JSONResponse({"active": True, "sub": "zoe", "client_id": "upstream", "scope": "read"})


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """One that listens on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = IdentityProvider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(provider.app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield provider
        finally:
            server.should_exit = True
            await serving
