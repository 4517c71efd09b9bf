"""Real FastMCP servers, and clients that talk to them over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastmcp import Client
from fastmcp.client.auth import OAuth
from fastmcp.exceptions import ToolError
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper
from mcp.client.auth import AuthorizationCodeResult

from sessionstore import open_storage
from sessionstore.integrations.key_value import StoredKeyValue

from .identity import identity_provider
from .server import ENCRYPTION_KEY
from .serving import Servers, servers


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-asyncpg"])
async def test_sessions_survive_their_server_process_and_are_shared_by_others(
    url_of_kind: Callable[[str], str], kind: str
) -> None:
    url = url_of_kind(kind)
    with servers(url) as one, servers(url) as other:
        one.start()
        second = other.start()
        async with Client(one.url) as client, Client(other.url) as another:
            names = [(await client.call_tool("create_session")).data for _ in range(4)]
            for word in ("a", "b"):
                for caller in (client, another):
                    await asyncio.gather(*(_add(caller, name, word) for name in names))
        one.kill()
        async with Client(other.url) as another:
            assert (await another.call_tool("process")).data == second
            told = await asyncio.gather(*(_add(another, name, "Zoë \0") for name in names))
            assert told == [["a", "a", "b", "b", "Zoë \0"]] * len(names)
            await another.call_tool("end_session", {"session_id": names[0]})
            with pytest.raises(ToolError):
                await _add(another, names[0], "late")


async def _add(client: Client[Any], session_id: str, word: str) -> list[str]:
    added = await client.call_tool("add", {"session_id": session_id, "word": word})
    return list(added.data)


class _Browser(OAuth):
    """Logs in as a user with a browser does: follows redirects, keeps cookies, and agrees on FastMCP's page."""

    _result: AuthorizationCodeResult

    async def redirect_handler(self, authorization_url: str) -> None:
        async with httpx2.AsyncClient(timeout=60) as browser:
            response = await browser.get(authorization_url)
            while not (response.is_redirect and response.headers["location"].startswith("http://localhost")):
                if response.is_redirect:
                    response = await browser.get(str(response.url.join(response.headers["location"])))
                    continue
                assert response.status_code == 200, response.text
                hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', response.text))
                response = await browser.post(str(response.url), data={**hidden, "action": "approve"})
            told = parse_qs(urlsplit(response.headers["location"]).query)
            self._result = AuthorizationCodeResult(
                code=told["code"][0], state=told["state"][0], iss=told.get("iss", [None])[0]
            )

    async def callback_handler(self) -> AuthorizationCodeResult:
        return self._result


async def test_a_login_survives_the_processes_of_server_and_client(url_of_kind: Callable[[str], str]) -> None:
    shared_url = url_of_kind("postgresql")
    async with identity_provider() as identity, open_storage(shared_url) as storage:
        store = StoredKeyValue(storage)
        tokens = FernetEncryptionWrapper(StoredKeyValue(storage, namespace="client-tokens"), fernet=ENCRYPTION_KEY)
        with servers(shared_url, identity.url) as behind:
            behind.start()
            async with Client(behind.url, auth=_Browser(behind.url, token_storage=tokens)) as client:
                await client.call_tool("remember", {"fact": "likes tea"})
            assert identity.logins == 1
            kept = set(await store.collections())
            assert {"mcp-oauth-proxy-clients", "mcp-upstream-tokens", "mcp-jti-mappings", "fastmcp_state"} <= kept

            behind.kill()
            behind.start()
            async with Client(behind.url, auth=_Browser(behind.url, token_storage=tokens)) as client:
                assert (await client.call_tool("recall")).data == "likes tea"
            assert identity.logins == 1
            await _refreshes_once(behind, tokens)
            await _logs_in_anew(behind, tokens)
        assert identity.logins == 2


async def _refreshes_once(behind: Servers, tokens: FernetEncryptionWrapper) -> None:
    """A refresh token that one process gave is taken by another one, and only once."""
    stored = await tokens.get(f"{behind.url}/tokens", collection="mcp-oauth-token")
    registered = await tokens.get(f"{behind.url}/client_info", collection="mcp-oauth-client-info")
    assert stored is not None
    assert registered is not None
    form = {
        "grant_type": "refresh_token",
        "refresh_token": stored["refresh_token"],
        "client_id": registered["client_id"],
    }
    async with httpx2.AsyncClient(timeout=60) as http:
        first = await http.post(f"{behind.base_url}/token", data=form)
        again = await http.post(f"{behind.base_url}/token", data=form)
    assert first.status_code == 200, first.text
    assert again.json()["error"] == "invalid_grant"
    assert first.json()["refresh_token"] != stored["refresh_token"]


async def _logs_in_anew(behind: Servers, tokens: FernetEncryptionWrapper) -> None:
    """A client that has forgotten its tokens logs in again, and finds what the user said before."""
    await tokens.delete(f"{behind.url}/tokens", collection="mcp-oauth-token")
    async with Client(behind.url, auth=_Browser(behind.url, token_storage=tokens)) as client:
        assert (await client.call_tool("recall")).data == "likes tea"
