"""Ids: hostile ids are kept as they are, and namespaces stay apart."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import (
    ConfigurationError,
    InvalidSessionIdError,
    SessionManager,
    SessionNotFoundError,
    StorageProvider,
)
from sessionstore.storage import Write

from ...support.documents import Chat, draft, increment, key, new_chat, set_to
from ..given import Managed

HOSTILE = [
    "'",
    '"',
    "''; DROP TABLE sessions; --",
    "\\",
    "\\'",
    "%",
    "_",
    "a%",
    "a_",
    "ab",
    "?",
    "$1",
    ":x",
    "%s",
    "%(key)s",
    "{}",
    "NULL",
    "null",
    "0",
    "00",
    "1e3",
    "a",
    "A",
    "a ",
    " a",
    "a  ",
    "\u00a0",
    "\u00e9",  # one character
    "e\u0301",  # the same letter, made of two characters
    "\u212b",
    "\u00c5",
    "\ufb01",
    "fi",
    "\u200b",
    "\u202e",
    "\u2028",
    "\ufeff",
    "\uffff",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0010ffff",
    "../../etc/passwd",
    "a/b",
    "a:b",
    '{"a":1}',
    '"},{"',
    "x" * 255,
    "\U0001f600" * 255,
]
NOT_AN_ID: dict[str, Any] = {
    "empty": "",
    "256 characters": "x" * 256,
    "NUL": "a\0",
    "newline": "a\n",
    "tab": "\t",
    "escape": "\x1b",
    "DEL": "\x7f",
    "C1": "\x85",
    "lone surrogate": "a\ud800",
    "int": 5,
    "bytes": b"a",
    "list": ["a"],
    "float": 1.5,
    "bool": False,
}
bad_ids = pytest.mark.parametrize("bad", list(NOT_AN_ID.values()), ids=list(NOT_AN_ID))


async def test_hostile_ids_round_trip_and_stay_apart(chats: SessionManager[Chat]) -> None:
    for n, name in enumerate(HOSTILE):
        created = await chats.create_session(name)
        assert created.created, ascii(name)
        assert (await chats.update_session(name, set_to(n))).success
    for n, name in enumerate(HOSTILE):
        read = await chats.get_session(name)
        assert (read.session_id, read.unwrap()) == (name, {**new_chat(name), "n": n})
    for n, name in enumerate(HOSTILE):
        assert (await chats.delete_session(name)).unwrap() is True
        for later in HOSTILE[n + 1 : n + 3]:
            assert (await chats.get_session(later)).success


async def test_hostile_ids_stay_apart_in_a_batch(storage: StorageProvider) -> None:
    keys = [key(name, namespace) for name in HOSTILE for namespace in ("a", "a'")]
    created = await storage.create_many([draft(k.session_id, namespace=k.namespace, owner_id=k[1]) for k in keys])
    assert [(creation.created, creation.document.summary.key) for creation in created] == [(True, k) for k in keys]
    read = await storage.get_many(keys)
    assert [document and (document.summary.key, document.summary.owner_id) for document in read] == [
        (k, k.session_id) for k in keys
    ]
    writes = [Write(creation.document.summary, "{}") for creation in created]
    assert [summary and summary.key for summary in await storage.update_many(writes)] == keys
    assert list(await storage.touch_many(keys)) == list(await storage.exists_many(keys)) == [True] * len(keys)
    assert list(await storage.delete_many(keys[::2])) == [True] * len(HOSTILE)
    assert list(await storage.exists_many(keys)) == [False, True] * len(HOSTILE)


async def test_hostile_namespaces_and_owners_stay_apart(managed: Managed) -> None:
    for n, name in enumerate(HOSTILE):
        created = await managed(namespace=name, default_state=lambda _, n=n: {"n": n}).create_session(
            "s", owner_id=name
        )
        assert created.created, ascii(name)
    for n, name in enumerate(HOSTILE):
        read = await managed(namespace=name).get_session("s")
        assert read.unwrap() == {"n": n}
        assert read.metadata is not None
        assert read.metadata.owner_id == name


@bad_ids
async def test_an_invalid_id_is_an_error_in_the_result(chats: SessionManager[Chat], bad: Any) -> None:
    for refused in (
        await chats.create_session(bad),
        await chats.get_session(bad),
        await chats.get_session(bad, touch=False),
        await chats.update_session(bad, increment),
        await chats.delete_session(bad),
    ):
        assert isinstance(refused.error, InvalidSessionIdError)
        assert (refused.success, refused.data) == (False, None)
        assert str(refused.error).isprintable()
        assert len(str(refused.error)) < 400


async def test_none_is_accepted_as_an_id_by_creations_only(chats: SessionManager[Chat]) -> None:
    nobody: Any = None
    for refused in (
        await chats.get_session(nobody),
        await chats.update_session(nobody, increment),
        await chats.delete_session(nobody),
    ):
        assert isinstance(refused.error, InvalidSessionIdError)


@bad_ids
async def test_an_invalid_namespace_is_refused_by_the_constructor(managed: Managed, bad: Any) -> None:
    with pytest.raises(ConfigurationError):
        managed(namespace=bad)


async def test_namespaces_keep_sessions_apart(managed: Managed) -> None:
    pairs = [("a", "b:c"), ("a:b", "c"), ("a", "b"), ("b", "a"), ("A", "b"), ("a ", "b")]
    for n, (namespace, session_id) in enumerate(pairs):
        created = await managed(namespace=namespace, default_state=lambda _, n=n: {"n": n}).create_session(session_id)
        assert created.created
    for n, (namespace, session_id) in enumerate(pairs):
        assert (await managed(namespace=namespace).get_session(session_id)).unwrap() == {"n": n}
    await managed(namespace="a").delete_session("b")
    assert isinstance((await managed(namespace="a").get_session("b")).error, SessionNotFoundError)
    assert (await managed(namespace="b").get_session("a")).success
