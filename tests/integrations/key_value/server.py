"""A FastMCP server as a process of its own: its sessions and its OAuth state are in the store.

python -m tests.integrations.key_value.server STORAGE_URL LISTENING_SOCKET BASE_URL [IDENTITY_PROVIDER_URL]
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn
from cryptography.fernet import Fernet
from fastmcp import FastMCP
from fastmcp.server.auth.oauth_proxy import OAuthProxy
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from fastmcp.server.dependencies import get_session
from fastmcp.server.sessions import SessionId, SessionProvider, UserSession
from key_value.aio.protocols.key_value import AsyncKeyValue
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue

ENCRYPTION_KEY = Fernet(b"a" * 43 + b"=")


def _proxy(store: AsyncKeyValue, base_url: str, identity: str) -> OAuthProxy:
    return OAuthProxy(
        upstream_authorization_endpoint=f"{identity}/authorize",
        upstream_token_endpoint=f"{identity}/token",
        upstream_client_id="upstream",
        upstream_client_secret="upstream-secret",
        token_verifier=IntrospectionTokenVerifier(
            introspection_url=f"{identity}/introspect", client_id="upstream", client_secret="upstream-secret"
        ),
        base_url=base_url,
        jwt_signing_key="the same in every process",
        client_storage=FernetEncryptionWrapper(store, fernet=ENCRYPTION_KEY),
    )


def main(storage_url: str, listening: str, base_url: str, identity: str = "") -> None:
    store = StoredKeyValue(open_storage(storage_url))
    auth = _proxy(store, base_url, identity) if identity else None
    server: FastMCP[None] = FastMCP("kept", session_state_store=store, auth=auth)

    if auth is None:
        server.add_provider(SessionProvider())

        @server.tool
        async def add(session_id: SessionId, word: str) -> list[str]:
            session = await get_session(session_id)
            words = [*await session.get("words", []), word]
            await session.set("words", words)
            return words

    else:

        @server.tool
        async def remember(fact: str, session: UserSession) -> None:
            await session.set("fact", fact)

        @server.tool
        async def recall(session: UserSession) -> str:
            return str(await session.get("fact"))

    @server.tool
    def process() -> int:
        return os.getpid()

    config = uvicorn.Config(server.http_app(stateless_http=True), log_level="warning")
    with socket.socket(fileno=int(listening)) as accepting:
        uvicorn.Server(config).run([accepting])


if __name__ == "__main__":
    main(*sys.argv[1:])
