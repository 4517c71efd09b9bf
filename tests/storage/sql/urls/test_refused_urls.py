"""URLs that cannot work are refused, by the name of the parameter and without showing the password."""

from __future__ import annotations

from typing import Final

import pytest

from sessionstore import migrate, open_storage
from tests.storage.sql.urls.places import SCHEMES, refusal_of

_REFUSED: Final = {
    "pool_size=5": "open_storage() takes it",
    "max_overflow=0": "open_storage() takes it",
    "connection_limit=5": "pool_size",
    "pool_timeout=5": "open_storage() takes it",
    "schema=chat": "--schema",
    "currentSchema=chat": "--schema",
    "pgbouncer=true": "prepared_statements=false",
    "statement_cache_size=0": "prepared_statements=false",
    "prepared_statement_cache_size=0": "prepared_statements=false",
    "prepareThreshold=0": "prepared_statements=false",
    "search_path=chat": "options=-c",
    "lock_timeout=5s": "options=-c",
    "timeout=5": "connect_timeout",
    "connectTimeout=5": "connect_timeout",
    "database=app": "dbname",
    "username=app": "user",
    "ssl=yes": "sslmode=require",
    "sslmod=require": "sslmode",
    "SSLMODE=require": "sslmode",
    "aplication_name=chat": "application_name may be meant",
    "prepared_statement=false": "prepared_statements may be meant",
    "colour=blue": "known are",
    "sslmode=on": "disable, allow, prefer, require, verify-ca, verify-full",
    "sslmode=": "disable, allow",
    "sslmode=verify-full": "sslrootcert=FILE",
    "sslmode=require&sslrootcert=system": "sslmode=verify-full",
    "sslrootcert=/nowhere/root.crt": "file that does not exist",
    "sslcert=/nowhere/me.crt": "file that does not exist",
    "sslcrl=/nowhere/root.crl": "file that does not exist",
    "target_session_attrs=master": "read-write",
    "load_balance_hosts=true": "random",
    "connect_timeout=5s": "whole number",
    "keepalives=yes": "0, 1",
    "keepalives_idle=1m": "whole number",
    "client_encoding=latin1": "UTF8",
    "replication=database": "leave it out",
    "gssencmode=on": "prefer",
    "channel_binding=on": "prefer",
    "sslnegotiation=tls": "direct",
    **{f"{mode}sslnegotiation=direct": "sslmode=require" for mode in ("", "sslmode=prefer&", "sslmode=disable&")},
    "ssl_min_protocol_version=1.2": "TLSv1.2",
    "prepared_statements=perhaps": "true or false",
    "application_name=a&application_name=b": "twice",
}


@pytest.mark.parametrize(("parameters", "advice"), _REFUSED.items(), ids=_REFUSED)
def test_an_unknown_parameter_is_refused_by_its_name(
    driver: str, parameters: str, advice: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = parameters.rpartition("&")[2].partition("=")[0]
    for call in (open_storage, migrate.upgrade, migrate.check, migrate.current, migrate.sql):
        message = refusal_of(call, f"{SCHEMES[driver]}://app:s3cret@127.0.0.1/app?{parameters}")
        assert name in message
        assert advice in message


@pytest.mark.parametrize(
    "parameters",
    [
        "channel_binding=require",
        "gssencmode=require",
        "gssdelegation=1",
        "max_protocol_version=3.2&min_protocol_version=3.2",
        "oauth_issuer=https%3A%2F%2Fexample.com",
        "require_auth=scram-sha-256",
        "requirepeer=postgres",
        "scram_client_key=s3cret",
        "service=chat",
        "sslcertmode=require",
        "sslcrldir=/etc",
        "sslkeylogfile=/tmp/keys",
        "sslsni=0",
        "hostaddr=127.0.0.1",
    ],
)
def test_a_parameter_that_asyncpg_lacks_is_refused_by_its_name_and_psycopg_is_named(parameters: str) -> None:
    name = parameters.rpartition("&")[2].partition("=")[0]
    message = refusal_of(open_storage, f"postgresql+asyncpg://app:s3cret@127.0.0.1/app?{parameters}")
    assert name in message
    assert "psycopg" in message
    assert open_storage(f"postgresql://app@127.0.0.1/app?{parameters}") is not None


_UNPARSED: Final = {
    "@ in the password": "app:s3c@ret@db/app",
    "/ in the password": "app:s3c/ret@db/app",
    "/ in a password of digits": "app:12/s3cret@db/app",
    "? in the password": "app:s3c?ret@db/app",
    "? and = in a password of digits": "app:12?s3c=ret@db/app",
    "% in the password": "app:s3c%ret@db/app",
    "% at the end of the password": "app:s3cret%@db/app",
    "percent-encoding of another encoding": "app:s3cret%E4@db/app",
    "NUL": "app:s3cret%00@db/app",
    "line break": "app:s3cret\n@db/app",
    "user@server": "app@server:s3cret@server.example.com/app",
    "port": "app:s3cret@db:s3cret/app",
    "port beyond all": "app:s3cret@db:70000/app",
    "port zero": "app:s3cret@db:0/app",
    "ports": "app:s3cret@db:5432:5433/app",
    "brackets": "app:s3cret@[::1/app",
    "blank in the host": "app:s3cret@db /app",
    "parameter without a value": "app:s3cret@db/app?s3cret",
    "parameter without a name": "app:s3cret@db/app?=s3cret",
    "parameter that is none": "app:s3cret@db/app?s3 cret=1",
}


@pytest.mark.parametrize("rest", _UNPARSED.values(), ids=_UNPARSED)
def test_a_url_that_does_not_parse_is_refused_with_advice_and_never_shown(driver: str, rest: str) -> None:
    for call in (open_storage, migrate.upgrade, migrate.check, migrate.current, migrate.sql):
        message = refusal_of(call, f"{SCHEMES[driver]}://{rest}")
        assert message.startswith("the storage URL does not parse: ")
        assert "postgresql://user:password@host:5432/database" in message


@pytest.mark.parametrize(
    "rest", ["app@h1,h2,h3/app?port=1,2", "app@h1:1,h2:2/app?port=1,2,3", "app@/app?host=h1,h2&port=1,2,3"]
)
def test_ports_that_do_not_fit_the_hosts_are_refused(driver: str, rest: str) -> None:
    assert "one for each" in refusal_of(open_storage, f"{SCHEMES[driver]}://{rest}")
