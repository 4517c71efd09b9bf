"""Lives of sessions: programs of calls and moves of the clock, made on a provider and on the reference at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sessionstore import MemoryStorageProvider, SessionManager, SessionResult, StorageProvider
from sessionstore.storage import Creation, Document, Draft, Key, Page, Summary, Write
from sessionstore.storage.journal import Journal

from ...clock import START, ManualClock

R = TypeVar("R")

NAMESPACES: Final = ("a", "b")
_MANAGED: Final = NAMESPACES[0]
_MOMENT: Final = timedelta(microseconds=1)

ids = st.sampled_from(["s", "s1", "t"])
keys = st.builds(Key, st.sampled_from([*NAMESPACES, NAMESPACES[0]]), ids)
batches = st.lists(keys, min_size=1, max_size=4)
owners = st.sampled_from([None, "o1", "o2"])
states = st.integers(0, 9).map(lambda n: json.dumps({"n": n}))
# Each TTL can be divided by ten, because PostgreSQL rounds a tenth of a TTL to the nearest microsecond, not down.
_ttls = st.none() | st.sampled_from([timedelta(minutes=30), timedelta(seconds=1), timedelta(microseconds=70)])
_lifetimes = st.none() | st.sampled_from([timedelta(minutes=40), timedelta(seconds=1), timedelta(microseconds=3)])
drafts = st.lists(
    st.builds(
        Draft,
        keys,
        states,
        ttl=_ttls | st.just(timedelta(minutes=30)),
        max_lifetime=_lifetimes | st.none(),
        origin=st.sampled_from([None, '{"from": "here"}']),
        owner_id=owners,
        # The version is random, as by default: a provider may refuse the version of a creation that was lost.
    ),
    min_size=1,
    max_size=3,
)
_steps = st.sampled_from([-_MOMENT, timedelta(0), _MOMENT])
_graces = st.sampled_from([timedelta(0), _MOMENT, timedelta(minutes=5)])
some = st.integers(0, 1 << 16)


class Lives(RuleBasedStateMachine):
    """Makes each call on the provider and on the reference, and compares the answers.

    Args:
        storage: The provider. It has no sessions, and takes its time from the clock.
        clock: The time of the provider and of the reference.
        runner: Runs the calls.
    """

    def __init__(self, storage: StorageProvider, clock: ManualClock, runner: asyncio.Runner) -> None:
        super().__init__()
        clock.now = START
        self._clock = clock
        self._runner = runner
        self._reference = MemoryStorageProvider(clock=clock)
        self._storage = storage
        self._seen: list[Summary] = []
        """All summaries in answers, the newest last. Writes name one of them, which may be stale by then."""
        self._write_ids: dict[str, str] = {}
        """The provider's id of a write, by the reference's id of the same write. Both ids are random."""

    def teardown(self) -> None:
        self._runner.run(self._storage.clear())

    def _both(self, call: Callable[[StorageProvider], Awaitable[R]]) -> R:
        async def called(storage: StorageProvider) -> R:
            return await call(storage)

        expected = self._runner.run(called(self._reference))
        answer = self._runner.run(called(self._storage))
        assert _plain(answer) == _plain(expected)
        self._write_ids |= zip(
            (summary.last_write for summary in _summaries(expected)),
            (summary.last_write for summary in _summaries(answer)),
            strict=True,
        )
        return expected

    def _note(self, found: Sequence[Any]) -> None:
        self._seen += _summaries(found)

    def _writes(self, picks: Sequence[int], state: str) -> list[Write]:
        """Returns writes on summaries that were seen, one for each session. A pick of 0 takes the newest summary."""
        picked = [self._seen[-1 - pick % min(len(self._seen), 12)] for pick in picks if self._seen]
        return [Write(read, state, count=1 + len(picks)) for read in {read.key: read for read in picked}.values()]

    def _on(self, storage: StorageProvider, write: Write) -> Write:
        """Returns the write for this storage, which has an id of its own for the write before it."""
        if storage is self._reference:
            return write
        return replace(write, read=write.read._replace(last_write=self._write_ids[write.read.last_write]))

    @rule(drafts=drafts)
    def create(self, drafts: list[Draft]) -> None:
        self._note(self._both(lambda storage: storage.create_many(drafts)))

    @rule(drafts=drafts, renew=st.booleans())
    def set(self, drafts: list[Draft], renew: bool) -> None:
        self._note(self._both(lambda storage: storage.set_many(drafts, renew=renew)))

    @rule(keys=batches, touch=st.booleans(), journal=st.booleans())
    def get(self, keys: list[Key], touch: bool, journal: bool) -> None:
        self._note(self._both(lambda storage: storage.get_many(keys, touch=touch, journal=journal)))

    @rule(key=keys, touch=st.booleans())
    def get_one(self, key: Key, touch: bool) -> None:
        self._note([self._both(lambda storage: storage.get(key, touch=touch))])

    @rule(picks=st.lists(st.just(0) | some, min_size=1, max_size=3), state=states)
    def update(self, picks: list[int], state: str) -> None:
        writes = self._writes(picks, state)
        self._note(self._both(lambda storage: storage.update_many([self._on(storage, write) for write in writes])))

    @rule(keys=batches, state=states)
    def update_locked(self, keys: list[Key], state: str) -> None:
        def same(read: Document) -> bool:
            return bool(json.loads(read.state) == json.loads(state))

        unique = list(dict.fromkeys(keys))
        self._note(
            self._both(
                lambda storage: storage.update_locked_many(
                    unique, lambda read: None if same(read) else Write(read.summary, state)
                )
            )
        )

    @rule(session_id=ids, fresh=st.none() | st.booleans(), n=st.integers(0, 9), again=st.none() | st.just("again"))
    def update_session(self, session_id: str, fresh: bool | None, n: int, again: str | None) -> None:
        seen = [summary.version for summary in self._seen if summary.key == (_MANAGED, session_id)]
        expected = None if fresh is None or not seen else seen[-1 if fresh else 0]
        self._managed(
            lambda sessions: sessions.update_session(
                session_id, lambda _: {"n": n}, expected_version=expected, idempotency_key=again
            )
        )

    @rule(session_id=ids, touch=st.booleans())
    def get_session(self, session_id: str, touch: bool) -> None:
        self._managed(lambda sessions: sessions.get_session(session_id, touch=touch))

    def _managed(self, call: Callable[[SessionManager[Any]], Awaitable[SessionResult[Any]]]) -> None:
        def told(result: SessionResult[Any]) -> tuple[object, ...]:
            error = None if result.error is None else (type(result.error), result.error.args)
            return error, result.data, result.applied, result.version, result.metadata

        async def managed(storage: StorageProvider) -> tuple[object, ...]:
            return told(await call(SessionManager(lambda _: {"n": 0}, storage, _MANAGED)))

        self._both(managed)

    @rule(keys=batches)
    def touch(self, keys: list[Key]) -> None:
        self._both(lambda storage: storage.touch_many(keys))
        self._both(lambda storage: storage.touch(keys[0]))

    @rule(keys=batches)
    def delete(self, keys: list[Key]) -> None:
        self.before_rows_go()
        self._both(lambda storage: storage.delete_many(keys))

    @rule(namespace=st.sampled_from([*NAMESPACES, None]), prefix=st.sampled_from(["s1", "t", "s", ""]))
    def clear(self, namespace: str | None, prefix: str) -> None:
        self.before_rows_go()
        self._both(lambda storage: storage.clear(namespace, prefix=prefix))

    @rule(grace=_graces, all_at_once=st.booleans())
    def purge(self, grace: timedelta, all_at_once: bool) -> None:
        self.before_rows_go()
        # If several rows expire at the same time, a batch may take any of them.
        limit = 5000 if all_at_once or not self._expiries_differ() else 1
        self._both(lambda storage: storage.purge_batch(limit=limit, grace=grace))

    @rule(grace=_graces, late=some)
    def purge_and_count_since(self, grace: timedelta, late: int) -> None:
        self.before_rows_go()
        expiries = sorted(summary.expires_at for summary in self._stored() if summary.expires_at) or [START]
        since = expiries[late % len(expiries)]
        self._both(lambda storage: storage.count_expired(grace=grace, since=since))
        self._both(lambda storage: storage.purge_batch(grace=grace, since=since))
        self._both(lambda storage: storage.purge_expired(grace=grace))

    @rule(drafts=drafts, step=_steps)
    def create_and_move_to_expiry(self, drafts: list[Draft], step: timedelta) -> None:
        self.create(drafts)
        self.move_to_expiry(0, step, due=False)

    @rule(late=some, step=_steps, due=st.booleans())
    def move_to_expiry(self, late: int, step: timedelta, due: bool) -> None:
        """Moves the clock close to the expiry of a session, or to the first access that has to move the expiry."""
        now = self._clock.now
        sessions = [summary for summary in self._stored() if summary.expires_at and summary.expires_at > now]
        if sessions:
            session = sessions[late % len(sessions)]
            assert session.expires_at is not None
            moment = session.expires_at - (session.ttl or timedelta(0)) if due else session.expires_at
            self._clock.now = max(self._clock.now, moment + step)

    @rule(by=st.sampled_from([_MOMENT, timedelta(milliseconds=300), timedelta(minutes=4), timedelta(days=1)]))
    def move_on(self, by: timedelta) -> None:
        self._clock.advance(by)

    @rule(limit=st.integers(1, 3), prefix=st.sampled_from(["", "s", "s1"]), owner=st.sampled_from([None, "o1"]))
    def list_pages(self, limit: int, prefix: str, owner: str | None) -> None:
        for namespace in (None, *NAMESPACES):
            after: Key | None = None
            while True:
                page = self._both(
                    lambda storage, after=after, namespace=namespace: storage.list(  # type: ignore[misc]
                        namespace, prefix=prefix, owner_id=owner, limit=limit, after=after
                    )
                )
                after = page.next
                if after is None:
                    break

    @invariant()
    def both_hold_the_same(self) -> None:
        keys = [Key(namespace, name) for namespace in NAMESPACES for name in ("s", "s1", "t")]
        self._both(lambda storage: storage.get_many(keys, touch=False, journal=True))
        self._both(lambda storage: storage.exists_many(keys))
        self._both(lambda storage: storage.stats())
        self._both(lambda storage: storage.count_expired(grace=_MOMENT))

    def before_rows_go(self) -> None:
        """Called before rows are deleted."""

    def _stored(self) -> list[Summary]:
        return [document.summary for _, document in sorted(self._reference._documents.items())]

    def _expiries_differ(self) -> bool:
        expiries: list[datetime] = [summary.expires_at for summary in self._stored() if summary.expires_at is not None]
        return len(set(expiries)) == len(expiries)


def _summaries(answer: Any) -> Iterator[Summary]:
    """Yields the summaries in an answer, in order."""
    if isinstance(answer, Summary):
        yield answer
    elif isinstance(answer, Creation):
        yield from _summaries(answer.document)
    elif isinstance(answer, Document):
        yield answer.summary
    elif isinstance(answer, list | tuple):
        for member in answer:
            yield from _summaries(member)


def _plain(answer: Any) -> Any:
    """Returns the answer with its documents decoded, because providers may add spaces to the JSON text."""
    if isinstance(answer, Summary):
        return tuple(
            answer._replace(
                origin=answer.origin and json.loads(answer.origin),
                last_write=str(bool(answer.last_write)),
                appended=list(answer.appended),
            )
        )
    if isinstance(answer, Document):
        return (
            answer.state and json.loads(answer.state),
            _plain(answer.summary),
            _plain(answer.journal),
            _plain(answer.items),
        )
    if isinstance(answer, Page):
        return (_plain(answer.sessions), answer.next, list(map(json.loads, answer.states)))
    if isinstance(answer, Journal):
        # An entry is a random id and a count of four digits. Only the counts are compared.
        writes = [answer.writes[at - 4 : at] for at in range(12, len(answer.writes) + 1, 12)]
        # Appends that were sent in one statement have one entry, so the number of entries may differ.
        return writes, answer.keys, bool(answer.appends)
    if isinstance(answer, list | tuple):
        return [_plain(member) for member in answer]
    return answer
