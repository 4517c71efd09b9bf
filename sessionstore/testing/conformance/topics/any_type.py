"""States of any type and value: each comes back equal, with the same types, or nothing is written."""

from __future__ import annotations

from itertools import count

from hypothesis import HealthCheck, given, settings

from sessionstore import InvalidStateError, SessionNotFoundError

from ...support.any_type import Case, canonical, honest, hostile
from ..given import Managed

_NUMBERS = count()


# All examples share the storage. Each example has a session of its own.
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=honest() | hostile())
async def test_any_state_comes_back_or_is_refused_with_its_place(managed: Managed, case: Case) -> None:
    state_type, state = case
    name = f"s{next(_NUMBERS)}"
    chats = managed(default_state=lambda _: state, state_type=state_type)
    created = await chats.create_session(name)
    if created.error is None:
        for result in (created, await chats.get_session(name), await chats.update_session(name, lambda _: None)):
            assert canonical(result.unwrap()) == canonical(state)
        assert canonical((await chats.get_session(name)).unwrap()) == canonical(state)
    else:
        assert isinstance(created.error, InvalidStateError)
        assert created.error.path.startswith("$")
        assert isinstance((await chats.get_session(name)).error, SessionNotFoundError)
