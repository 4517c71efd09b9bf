"""The environment variables of libpq count where a URL leaves something out, or are refused by their names."""

from __future__ import annotations

import pytest

from sessionstore import ConfigurationError, open_storage
from tests.storage.sql.urls.places import Places, assert_works

_FILLED: dict[str, tuple[dict[str, str], str]] = {
    "port": ({"PGPORT": "{port}"}, "{scheme}://{user}@127.0.0.1/{db}"),
    "port of a parameter": ({"PGPORT": "{port}"}, "{scheme}://{user}@/{db}?host=127.0.0.1"),
    "port of an address": ({"PGPORT": "{port}"}, "{scheme}://{user}@/{db}?hostaddr=127.0.0.1"),
    "host": ({"PGHOST": "127.0.0.1"}, "{scheme}://{user}@:{port}/{db}"),
    "host, port as a parameter": ({"PGHOST": "127.0.0.1"}, "{scheme}://{user}@/{db}?port={port}"),
    "host, not the port": ({"PGHOST": "127.0.0.1", "PGPORT": "{closed}"}, "{scheme}://{user}@:{port}/{db}"),
    "neither": ({"PGHOST": "nowhere.invalid", "PGPORT": "{closed}"}, "{scheme}://{user}@{tcp}/{db}"),
    "the port of one of two": ({"PGPORT": "{closed}"}, "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}"),
}


@pytest.mark.parametrize("name", _FILLED)
async def test_a_variable_counts_for_what_the_url_leaves_out(
    places: Places, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variables, url = _FILLED[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, places.url(value))

    await assert_works(places.url(url))


_EMPTY = (
    "PGAPPNAME",
    "PGCONNECT_TIMEOUT",
    "PGHOST",
    "PGOPTIONS",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGSSLCERT",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLROOTCERT",
)


@pytest.mark.parametrize("variable", _EMPTY)
async def test_an_empty_variable_is_no_setting(places: Places, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")

    await assert_works(places.url("{scheme}://{user}@{tcp}/{db}"))


_BOTH = ("psycopg", "asyncpg")
_REFUSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("PGSSLMODE", ""): _BOTH,
    ("PGSSLMODE", "required"): _BOTH,
    ("PGSSLNEGOTIATION", ""): _BOTH,
    ("PGSSLNEGOTIATION", "tls"): _BOTH,
    ("PGTARGETSESSIONATTRS", ""): _BOTH,
    ("PGTARGETSESSIONATTRS", "master"): _BOTH,
    ("PGSSLMINPROTOCOLVERSION", "1.2"): _BOTH,
    ("PGPORT", "port"): _BOTH,
    ("PGCONNECT_TIMEOUT", "5s"): _BOTH,
    ("PGLOADBALANCEHOSTS", "yes"): _BOTH,
    ("PGLOADBALANCEHOSTS", ""): ("psycopg",),
    ("PGCHANNELBINDING", ""): ("psycopg",),
    ("PGGSSENCMODE", "maybe"): ("psycopg",),
    ("PGSERVICE", ""): ("psycopg",),
}


@pytest.mark.parametrize(("variable", "value"), _REFUSED)
def test_a_variable_that_the_driver_would_not_take_is_refused_by_its_name(
    driver: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    url = f"{'postgresql' if driver == 'psycopg' else 'postgresql+asyncpg'}://app:s3cret@127.0.0.1/app"
    if driver not in _REFUSED[variable, value]:
        open_storage(url)
        return

    with pytest.raises(ConfigurationError, match=f"the variable {variable} {'has' if value else 'is empty'}") as told:
        open_storage(url)
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("parameter", ["sslmode=prefer", "target_session_attrs=any"])
async def test_a_parameter_in_the_url_overrides_its_variable(
    places: Places, monkeypatch: pytest.MonkeyPatch, parameter: str
) -> None:
    for variable in ("PGSSLMODE", "PGTARGETSESSIONATTRS"):
        if variable.removeprefix("PG").lower() == parameter.partition("=")[0].replace("_", ""):
            monkeypatch.setenv(variable, "nonsense")

    await assert_works(places.url(f"{{scheme}}://{{user}}@{{tcp}}/{{db}}?{parameter}"))


@pytest.mark.parametrize("driver", ["asyncpg"], indirect=True)
async def test_asyncpg_refuses_a_service_only_if_the_host_would_come_from_it(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSERVICE", "chat")

    with pytest.raises(ConfigurationError, match="PGSERVICE"):
        open_storage("postgresql+asyncpg://")
    async with open_storage(places.url("{scheme}://{user}@{tcp}/{db}")) as storage:
        assert not (await storage.list()).sessions


@pytest.mark.parametrize("url", ["postgresql+asyncpg:///app?host=@chat", "postgresql+asyncpg://app@%40chat/app"])
def test_asyncpg_refuses_an_abstract_socket(url: str) -> None:
    with pytest.raises(ConfigurationError, match="abstract socket"):
        open_storage(url)
