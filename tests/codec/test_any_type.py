"""For random state types and values: the state comes back equal, with the same types, or is refused."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, event, given, settings

from sessionstore import InvalidStateError
from sessionstore.codec.states import Codec
from sessionstore.testing.support.any_type import Case, as_jsonb, canonical, honest, hostile

_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def assert_comes_back(codec: Codec[Any], state: Any) -> None:
    text, copy = codec.encode_with_copy(state, "s")
    assert canonical(copy) == canonical(state)
    assert canonical(codec.decode(text, "s")) == canonical(state)
    assert canonical(codec.decode(as_jsonb(text), "s")) == canonical(state)


@_SETTINGS
@given(case=honest())
def test_a_state_that_json_can_keep_comes_back(case: Case) -> None:
    state_type, state = case
    assert_comes_back(Codec(state_type, 1_000_000), state)


@_SETTINGS
@given(case=hostile())
def test_any_other_state_comes_back_or_is_refused_with_its_path(case: Case) -> None:
    state_type, state = case
    refused = refusal_of(Codec(state_type, 1_000_000), state)
    if refused is not None:
        event("refused")
        assert refused.path.startswith("$")
        assert refused.__cause__ is refused.__context__ is None
        assert "hunter2" not in str(refused)


def refusal_of(codec: Codec[Any], state: Any) -> InvalidStateError | None:
    try:
        assert_comes_back(codec, state)
    except InvalidStateError as error:
        return error
    return None
