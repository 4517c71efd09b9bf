"""States come back equal, with the same types."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionstore import SessionManager, StorageProvider
from sessionstore.storage import Write

from ...support.documents import Chat, draft, key
from ..given import Managed

EXACT: dict[str, Any] = {
    "1.0": 1.0,
    "-1.0": -1.0,
    "0.0": 0.0,
    "0.1": 0.1,
    "1e15": 1e15,
    "1e16": 1e16,
    "-1e16": -1e16,
    "1.5e16": 1.5e16,
    "1e22": 1e22,
    "1e300": 1e300,
    "largest float": 1.7976931348623157e308,
    "1e-7": 1e-7,
    "smallest normal float": 2.2250738585072014e-308,
    "5e-324": 5e-324,
    "17 digits": 0.30000000000000004,
    "float of 2**53": 9007199254740992.0,
    "float of 2**63": 9.223372036854775808e18,
    "2**53 + 1": 2**53 + 1,
    "2**63 - 1": 2**63 - 1,
    "-2**63": -(2**63),
    "0": 0,
    "true": True,
    "false": False,
    "null": None,
    "empty text": "",
    "empties": [{}, [], [[]], {"": {}}, {"a": []}],
    "true is no 1": [True, 1, 1.0, False, 0, 0.0],
    "digits": "1.0",
    "unicode": "gr\u00fc\u00df dich \u2603 \U0001f600 \u0301",
    "noncharacters": "\uffff\ufffe\U0010ffff",
    "separators": "\u2028\u2029\u0085\u00a0\ufeff",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f",
    "quotes": "'\"\\/ \\u0000 \\n $1 :x %s %(a)s ? {} --",
    "escaped surrogate": "\\ud800",
    "odd keys": {"": 1, " ": 2, "a b": 3, "'": 4, '"': 5, "\n": 6, "\U0001f600": 7, "e\u0301": 8, "\u00e9": 9, "$": 10},
    "keys that look alike": {"1": "a", "1.0": "b", "01": "c", "A": "d", "a": "e"},
    "long text": "x\u00e4\U0001f600" * 20_000,
    "long array": list(range(5000)),
    "50 levels": None,
}
for _ in range(50):
    EXACT["50 levels"] = {"in": [EXACT["50 levels"]]}


def typed(value: Any) -> Any:
    """Returns the value with the types of all its parts, because 1 == 1.0 == True."""
    if isinstance(value, dict):
        return {key: typed(member) for key, member in value.items()}
    if isinstance(value, list):
        return [typed(member) for member in value]
    return (type(value), value)


async def assert_comes_back(chats: SessionManager[Chat], state: Chat) -> None:
    await chats.create_session("s")
    for written in (
        await chats.update_session("s", lambda _: state),
        await chats.get_session("s"),
        await chats.create_session("s"),
        await chats.update_session("s", lambda _: None),
        await chats.get_session("s", touch=False),
    ):
        assert typed(written.unwrap()) == typed(state)


@pytest.mark.parametrize("value", list(EXACT.values()), ids=list(EXACT))
async def test_a_value_comes_back_as_it_was(chats: SessionManager[Chat], value: Any) -> None:
    await assert_comes_back(chats, {"value": value, "list": [value], "deep": {"er": [{"value": value}]}})


@pytest.mark.parametrize("value", list(EXACT.values()), ids=list(EXACT))
async def test_a_value_in_a_default_state_and_an_origin_comes_back_as_it_was(managed: Managed, value: Any) -> None:
    chats = managed(default_state=lambda _: {"value": value})
    await chats.create_session("s", origin={"value": value})
    read = await chats.get_session("s")
    assert read.metadata is not None
    assert typed(read.unwrap()) == typed(read.metadata.origin) == typed({"value": value})


async def test_a_batch_comes_back_as_it_was(managed: Managed, storage: StorageProvider) -> None:
    one = managed(default_state=lambda _: {"values": EXACT, "written": "singly"})
    await one.create_session("one", origin=EXACT)
    source = await storage.get(key("one"), touch=False)
    assert source is not None
    names = ["a", "b"]
    drafts = [draft(name, source.state, origin=source.summary.origin) for name in names]
    created = await storage.create_many(drafts)
    await storage.update_many([Write(made.document.summary, source.state) for made in created])
    await storage.set_many([draft(name, source.state, origin=source.summary.origin) for name in ("c", "d")])
    for name in (*names, "c", "d"):
        read = await one.get_session(name)
        assert read.metadata is not None
        assert typed(read.unwrap()["values"]) == typed(read.metadata.origin) == typed(EXACT)


documents = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("abc\u00e4'%", max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    max_size=5,
)


# All examples share the fixtures. Each example overwrites the state of the one session.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=documents)
async def test_any_json_document_comes_back_as_it_was(chats: SessionManager[Chat], state: Chat) -> None:
    await assert_comes_back(chats, state)
