"""A storage of somebody else's that raises an error of its own after it has committed: nothing is applied twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from sessionstore import UpdateOutcomeUnknownError
from sessionstore.concurrency.call import tell
from sessionstore.storage import Apply, Key, Summary, Write
from sessionstore.testing.support.documents import append, increment
from sessionstore.updates import rounds
from sessionstore.updates.rounds import OPTIMISTIC_ROUNDS

from ..support.gated import GatedStorage, desk_on, together
from ..support.sender import ends

pytestmark = pytest.mark.usefixtures("patient")

SECRET = "a state of somebody else's"


class ForeignStorage(GatedStorage):
    """Raises a foreign error after a commit.

    Attributes:
        failing: Of how many of the next writes.
    """

    failing = 0

    def _fail(self, written: object) -> None:
        if written and self.failing:
            self.failing -= 1
            raise RuntimeError(SECRET)

    async def update_many(self, writes: Sequence[Write]) -> Sequence[Summary | None]:
        summaries = await super().update_many(writes)
        self._fail([it for it in summaries if it is not None])
        return summaries

    async def update_locked_many(self, keys: Sequence[Key], apply: Apply) -> Sequence[Summary | None]:
        summaries = await super().update_locked_many(keys, apply)
        self._fail([it for it in summaries if it is not None])
        return summaries


@pytest.fixture
def storage() -> ForeignStorage:
    return ForeignStorage()


@pytest.mark.parametrize("callers", ["a", "aa", "ab", "aab"])
async def test_an_update_under_locks_that_was_committed_before_a_foreign_error_is_applied_once(
    storage: ForeignStorage, callers: str
) -> None:
    desk = await desk_on(storage, "a", "b")
    losing = iter(range(OPTIMISTIC_ROUNDS))

    def lose() -> None:
        if next(losing, None) is not None:
            for name in "ab":
                storage.count_up(name)

    storage.lose = lose
    storage.failing = 1
    told = await ends(await together(storage, desk, *(desk.update_session(name, increment) for name in callers)))

    assert storage.locks
    assert storage.failing == 0
    assert all(result.success for result in told)
    for name in set(callers):
        assert (await desk.get_session(name)).unwrap()["n"] == callers.count(name)


async def test_a_guessed_update_that_was_committed_before_a_foreign_error_is_not_applied_again(
    storage: ForeignStorage,
) -> None:
    desk = await desk_on(storage, "a")
    assert (await desk.update_session("a", increment)).unwrap()["n"] == 1
    storage.failing = 1

    with pytest.raises(RuntimeError):
        await desk.update_session("a", increment)
    assert (await desk.get_session("a")).unwrap()["n"] == 2


async def test_a_foreign_error_of_several_callers_is_held_by_no_error_of_theirs(
    storage: ForeignStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await desk_on(storage, "a", "b")
    storage.failing = 1
    raised: list[Exception] = []

    def noted(calls: Iterable[Any], error: Exception) -> None:
        raised.append(error)
        tell(calls, error)

    monkeypatch.setattr(rounds, "tell", noted)
    told = await ends(await together(storage, desk, *(desk.update_session(name, append("x")) for name in "aab")))

    assert [type(error) for error in told] == [UpdateOutcomeUnknownError] * 3
    assert len(raised) == 1
    for error in [*told, *raised]:
        assert SECRET not in str(error)
        assert (error.__cause__, error.__context__) == (None, None)
