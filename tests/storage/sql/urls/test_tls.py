"""TLS, as a URL asks for it."""

from __future__ import annotations

from typing import Final

import pytest
from sqlalchemy.engine import make_url

from sessionstore.testing.postgres import Database
from tests.storage.sql.urls.places import SCHEMES, Places, assert_works
from tests.support.entrance import CERTIFICATES, Entrance

_ENCRYPTED: Final = {
    "by default": "{scheme}://{user}@127.0.0.1:{tls_port}/{db}",
    **{
        parameters: "{scheme}://{user}@localhost:{tls_port}/{db}?" + parameters
        for parameters in (
            "sslmode=prefer",
            "sslmode=require",
            "ssl=true",
            "ssl=require",
            "sslmode=require&sslrootcert={root}",
            "sslmode=verify-ca&sslrootcert={root}",
            "sslmode=verify-full&sslrootcert={root}",
            "sslmode=verify-full&sslrootcert={root}&ssl_min_protocol_version=TLSv1.3",
            "sslmode=require&application_name=chat&options=-c%20work_mem%3D8MB",
        )
    },
    "verify-ca, by address": "{scheme}://{user}@127.0.0.1:{tls_port}/{db}?sslmode=verify-ca&sslrootcert={root}",
    "hosts": "{scheme}://{user}@localhost:{closed},localhost:{tls_port}/{db}?sslmode=verify-full&sslrootcert={root}",
}


@pytest.mark.parametrize("form", _ENCRYPTED.values(), ids=_ENCRYPTED)
async def test_a_url_that_asks_for_tls_gets_it(places: Places, form: str) -> None:
    await assert_works(places.url(form))
    assert places.tls.encrypted >= 2
    assert places.tls.plain == 0


_DIRECT: Final = {
    "require": "sslmode=require",
    "verify-full": "sslmode=verify-full&sslrootcert={root}",
    "system": "sslrootcert=system&sslmode=verify-full",
}


@pytest.mark.parametrize("parameters", _DIRECT.values(), ids=_DIRECT)
async def test_tls_without_a_question_first_is_spoken_where_the_url_says_so(
    database: Database, driver: str, parameters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.empty()
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "root.crt"))  # the authorities of the system
    async with Entrance(database.url, direct=True) as entrance:
        name = make_url(database.url).database
        login = f"{SCHEMES[driver]}://postgres@localhost:{entrance.port}/{name}"
        await assert_works(f"{login}?sslnegotiation=direct&{parameters.format(root=CERTIFICATES / 'root.crt')}")
        assert entrance.encrypted >= 2
        assert entrance.plain == 0


async def test_a_url_that_asks_for_no_tls_gets_none(places: Places) -> None:
    await assert_works(places.url("{scheme}://{user}@localhost:{tls_port}/{db}?sslmode=disable"))
    assert places.tls.encrypted == 0
