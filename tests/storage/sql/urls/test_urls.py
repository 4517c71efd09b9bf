"""URLs of PostgreSQL in all their forms, by both drivers: each leads to its server, as libpq documents it."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import psutil
import pytest
from sqlalchemy.engine import make_url

from sessionstore import StorageUnavailableError, migrate, open_storage
from sessionstore.testing.postgres import Database
from sessionstore.testing.support.documents import key
from tests.storage.sql.urls.places import SCHEMES, TCP, Places, assert_works, refusal_of
from tests.support.bystander import ask
from tests.support.discretion import assert_discreet

_FORMS: Final = {
    "socket as a parameter": "{scheme}://{user}@/{db}?host={directory}",
    "socket as the host": "{scheme}://{user}@{quoted}/{db}",
    "socket and port": "{scheme}://{user}@{quoted}:5432/{db}",
    "socket as a parameter, port before": "{scheme}://{user}@:5432/{db}?host={directory}",
    "socket and port as parameters": "{scheme}://{user}@/{db}?host={directory}&port=5432",
    "socket, where TLS is not asked for": "{scheme}://{user}@{quoted}/{db}?sslmode=require",
    "socket, where TLS is not verified": "{scheme}://{user}@/{db}?host={directory}&sslmode=verify-ca&sslrootcert={root}",
    "host": TCP,
    "host by name": "{scheme}://{user}@localhost:{port}/{db}",
    "everything as a parameter": "{scheme}://?host=127.0.0.1&port={port}&user={user}&dbname={db}",
    "everything as a parameter, after a path": "{scheme}:///?host=127.0.0.1&port={port}&user={user}&dbname={db}",
    "host and port as one parameter": "{scheme}://{user}@/{db}?host=127.0.0.1:{port}",
    "host as a parameter in place of another": "{scheme}://{user}@nowhere.invalid:{port}/{db}?host=127.0.0.1",
    "password that nobody asks for": "{scheme}://{user}:p%40ss%2Fw%3Ard%23%25@{tcp}/{db}",
    "password with #": "{scheme}://{user}:p#ss@{tcp}/{db}",
    "password with blanks and signs": "{scheme}://{user}:a b+c=d&e;f$!*'()@{tcp}/{db}",
    "percent-encoded user": "{scheme}://%70ostgres@{tcp}/{db}",
    "hosts": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}",
    "hosts, by name": "{scheme}://{user}@nowhere.invalid:5432,localhost:{port}/{db}",
    "hosts, the first silent": "{scheme}://{user}@127.0.0.1:{silent},127.0.0.1:{port}/{db}?connect_timeout=2",
    "hosts as SQLAlchemy has them": "{scheme}://{user}@/{db}?host=127.0.0.1:{closed}&host=127.0.0.1:{port}",
    "hosts and ports as parameters": "{scheme}://{user}@/{db}?host=127.0.0.1,localhost&port={closed},{port}",
    "hosts and one port": "{scheme}://{user}@/{db}?host=127.0.0.1,localhost&port={port}",
    "hosts of both kinds": "{scheme}://{user}@127.0.0.1:{closed},{quoted}/{db}",
    "hosts in any order": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}?load_balance_hosts=random",
    "address": "{scheme}://{user}@/{db}?hostaddr=127.0.0.1&port={port}",
    **{
        parameter: f"{TCP}?{parameter}"
        for parameter in (
            "application_name=chat",
            "channel_binding=disable",
            "channel_binding=prefer",
            "client_encoding=UTF8",
            "client_encoding=utf-8",
            "connect_timeout=0",
            "connect_timeout=5",
            "fallback_application_name=chat",
            "gssencmode=disable",
            "gssencmode=prefer",
            "keepalives=0",
            "keepalives=1",
            "keepalives_idle=30",
            "keepalives_interval=10",
            "keepalives_count=3",
            "krbsrvname=postgres",
            "load_balance_hosts=disable",
            "load_balance_hosts=random",
            "max_protocol_version=3.0",
            "min_protocol_version=3.0",
            "options=-c%20work_mem%3D8MB",
            "options=-c+work_mem%3D8MB+-c+geqo%3Doff",
            "options=-csearch_path%3Dpg_catalog",
            "options=--work_mem%3D8MB%20--client_encoding%3Dlatin1",
            "passfile=/nowhere/pgpass",
            "prepared_statements=true",
            "prepared_statements=false",
            "replication=false",
            "sslcertmode=allow",
            "sslcompression=0",
            "sslmode=allow",
            "sslmode=disable",
            "sslmode=prefer",
            "sslnegotiation=postgres",
            "sslsni=1",
            "ssl_min_protocol_version=TLSv1.2",
            "target_session_attrs=any",
            "target_session_attrs=prefer-standby",
            "target_session_attrs=primary",
            "target_session_attrs=read-write",
            "tcp_user_timeout=20000",
        )
    },
    "servers of which one is a primary": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}"
    "?target_session_attrs=read-write",
    "servers of which one may be a standby": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}"
    "?target_session_attrs=prefer-standby&load_balance_hosts=random",
}


@pytest.mark.parametrize("form", _FORMS.values(), ids=_FORMS)
async def test_a_url_that_libpq_documents_works(places: Places, form: str) -> None:
    await assert_works(places.url(form))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1,localhost"])
async def test_the_socket_is_as_the_url_wants_it(places: Places, host: str) -> None:
    parameters = "keepalives_idle=33&keepalives_interval=11&keepalives_count=4&tcp_user_timeout=12000"
    async with open_storage(
        places.url(f"{{scheme}}://{{user}}@/{{db}}?host={host}&port={{port}}&{parameters}")
    ) as storage:
        await storage.exists(key("s"))
        found = _sockets_to(places.plain.port)
    assert found == {(1, 33, 11, 4, 12000)}


def _sockets_to(port: int) -> set[tuple[int, ...]]:
    """What this process's connections to a port are set to."""
    found: set[tuple[int, ...]] = set()
    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.port == port:
            with socket.socket(fileno=os.dup(connection.fd)) as opened:
                alive = opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                found.add((alive, *(opened.getsockopt(socket.IPPROTO_TCP, option) for option in options)))
    return found


async def test_a_service_of_libpq_leads_to_its_server(
    places: Places, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(database.url)
    lines = ("[chat]", f"host={places.plain.directory}", f"dbname={url.database}", "application_name=ours")
    services = tmp_path / "services.conf"
    services.write_text("\n".join(lines))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    form = "{scheme}://{user}@/?service=chat"
    if places.url("{scheme}").endswith("asyncpg"):
        assert "asyncpg cannot do what service" in refusal_of(open_storage, places.url(form))
        return
    await assert_works(places.url(form))
    await asyncio.to_thread(migrate.check, places.url(form))
    async with open_storage(places.url(form)) as storage:
        await storage.exists(key("s"))
        assert ask(database, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'ours'")


_UNREACHABLE: Final = {
    "no TLS": f"{TCP}?sslmode=require",
    "no TLS to verify": f"{TCP}?sslmode=verify-full&sslrootcert={{root}}",
    "another authority": "{scheme}://{user}@localhost:{tls_port}/{db}?sslmode=verify-ca&sslrootcert={other}",
    "another authority, required": "{scheme}://{user}@localhost:{tls_port}/{db}?sslmode=require&sslrootcert={other}",
    "another host": "{scheme}://{user}@127.0.0.1:{tls_port}/{db}?sslmode=verify-full&sslrootcert={root}",
    "not an authority of the system": "{scheme}://{user}@localhost:{tls_port}/{db}?sslrootcert=system",
    "no standby": f"{TCP}?target_session_attrs=standby",
    "no standby among several": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{port}/{db}?target_session_attrs=standby",
    "nothing that only reads": f"{TCP}?target_session_attrs=read-only",
    "none of several": "{scheme}://{user}@127.0.0.1:{closed},127.0.0.1:{closed}/{db}",
    "a socket that is not there": "{scheme}://{user}@%2Fnowhere/{db}",
    "no service": "postgresql://{user}@{tcp}/{db}?service=nowhere",
}


@pytest.mark.parametrize("form", _UNREACHABLE.values(), ids=_UNREACHABLE)
async def test_a_server_of_the_wrong_target_session_attrs_is_not_used(places: Places, form: str) -> None:
    url = places.url(form)
    async with open_storage(url) as storage:
        with pytest.raises(StorageUnavailableError) as raised:
            await storage.exists(key("s"))
        assert_discreet(raised.value)
    with pytest.raises(StorageUnavailableError) as raised:
        await asyncio.to_thread(migrate.current, url)
    assert_discreet(raised.value)


_SEEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chat' AND pid <> pg_backend_pid()"


@pytest.mark.parametrize(
    "parameters",
    [
        "application_name=chat",
        "application_name=chat&fallback_application_name=other",
        "fallback_application_name=chat",
        "options=-c%20application_name%3Dchat",
    ],
)
async def test_the_server_gets_the_application_name_of_the_url(
    places: Places, database: Database, driver: str, parameters: str
) -> None:
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(open_storage(places.url(f"{TCP}?{parameters}")))
        await storage.exists(key("s"))
        assert ask(database, _SEEN) == [(1,)]


@pytest.mark.parametrize(("variable", "value"), [("PGAPPNAME", "chat"), ("PGOPTIONS", "-c application_name=chat")])
async def test_the_server_gets_the_application_name_of_the_variables_of_libpq(
    places: Places, database: Database, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    async with open_storage(places.url(TCP)) as storage:
        await storage.exists(key("s"))
        assert ask(database, _SEEN) == [(1,)]


@pytest.mark.parametrize("driver", ["asyncpg"], indirect=True)
async def test_settings_of_the_server_go_beside_those_of_the_url(places: Places, database: Database) -> None:
    url = places.url(f"{TCP}?application_name=chat")
    async with open_storage(url, connect_args={"server_settings": {"geqo": "off"}}) as storage:
        await storage.exists(key("s"))
        assert ask(database, _SEEN) == [(1,)]


async def test_parameters_that_a_url_leaves_out_come_from_the_variables_of_libpq(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, database = places.url("{user} {db}").split()
    for name, value in {
        "HOST": "127.0.0.1",
        "PORT": str(places.plain.port),
        "USER": user,
        "DATABASE": database,
    }.items():
        monkeypatch.setenv(f"PG{name}", value)
    await assert_works(places.url("{scheme}://"))


_OF_HOSTS: Final = {
    "Heroku": "postgres://u4k2:p0a9@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d7f6",
    "Supabase, session": "postgres://postgres.abcdef:p%21w@aws-0-eu-central-1.pooler.supabase.com:5432/postgres",
    "Neon": "postgresql://app:p0a9@ep-cool-1.eu-central-1.aws.neon.tech/app?sslmode=require",
    "Neon, without SNI": "postgresql://app:p0a9@ep-cool-1.neon.tech/app?sslmode=require&options=endpoint%3Dep-cool-1",
    "DigitalOcean": "postgresql://doadmin:AVNS_x@db-1-do-user-1-0.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
    "Azure": "postgresql://me%40server:p%40w@server.postgres.database.azure.com:5432/postgres?sslmode=require",
    "Cloud SQL": "postgresql://app:pw@/app?host=/cloudsql/project:region:instance",
    "Railway": "postgresql://postgres:pw@containers-us-west-1.railway.app:6543/railway",
    "Crunchy": "postgres://application:pw@p.abc.db.postgresbridge.com:5432/postgres",
    "IPv6": "postgresql://app:pw@[2001:db8::1234]:5432/app",
}


@pytest.mark.parametrize("url", _OF_HOSTS.values(), ids=_OF_HOSTS)
def test_the_urls_of_hosting_providers_are_taken(driver: str, url: str) -> None:
    url = f"{SCHEMES[driver]}://{url.partition('://')[2]}"
    assert open_storage(f"{url}\n") is not None
    assert "CREATE TABLE" in migrate.sql(f"{url}\n")
