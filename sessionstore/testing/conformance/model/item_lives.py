"""Lives of sessions with items: the calls of lives.py, and all changes and reads of items, with lost answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from sessionstore import StorageProvider
from sessionstore.storage import Append, Edit, Fork, Key, NewItem, SeenItems, Window
from sessionstore.storage.journal import key_digest

from .lives import NAMESPACES, Lives, batches, drafts, keys, owners, some, states
from .losses import Loss, LostAnswers

R = TypeVar("R")

_IDS: Final = ("i1", "i2", "i3")
_LOGS: Final = ("", "log")
_KEPT_KEYS: Final = 2

_logs = st.sampled_from([*_LOGS, ""])
_texts = st.integers(0, 99).map(json.dumps)
_positions = st.integers(0, 9)
_losses = st.lists(st.sampled_from(Loss), max_size=3)


@st.composite
def _items(draw: st.DrawFn, *, fewest: int = 0) -> list[NewItem]:
    """Makes items that have different ids, or none."""
    names = draw(st.lists(st.none() | st.sampled_from(_IDS), min_size=fewest, max_size=4))
    items: dict[str | int, NewItem] = {}
    for at, name in enumerate(names):
        items.setdefault(at if name is None else name, NewItem(draw(_texts), name, draw(_logs)))
    return list(items.values())


_appends = st.builds(
    Append,
    keys,
    _items(fewest=1),
    owner_id=owners | st.none(),
    expected_position=st.none() | st.none() | _positions,
    digest=st.none() | st.sampled_from(["k1", "k2", "k3"]).map(key_digest),
    keys=st.just(_KEPT_KEYS),
    keep=st.none() | st.integers(1, 5),
)
_founding = st.builds(
    lambda append, draft: replace(append, create=replace(draft, key=append.key, owner_id=append.owner_id)),
    _appends,
    drafts.map(lambda several: several[0]),
)
_windows = st.builds(
    Window,
    _logs,
    limit=st.integers(0, 5),
    newest=st.booleans(),
    after=st.none() | _positions,
    before=st.none() | _positions,
    ids=st.none() | st.lists(st.sampled_from(_IDS), max_size=3).map(tuple),
)


class ItemLives(Lives):
    """Makes each call on the provider and on the reference, and compares the answers.

    Args:
        answers: Loses answers of the storage; None: the storage loses none.
        others: The arguments of Lives.
    """

    def __init__(self, answers: LostAnswers | None, *others: Any) -> None:
        super().__init__(*others)
        self._answers = answers

    def teardown(self) -> None:
        if self._answers is not None:
            self._runner.run(self._answers.land())
        super().teardown()

    def before_rows_go(self) -> None:
        # Once the row is gone, a statement that lands late cannot see that it was given up.
        self.land_late()

    def _losing(
        self, losses: list[Loss], sessions: Sequence[Key], call: Callable[[StorageProvider], Awaitable[R]]
    ) -> R:
        """Makes a call whose first answers are lost. No answer is lost if a session has no row to tell what landed."""
        told = all(session in self._reference._documents for session in sessions)

        async def losing(storage: StorageProvider) -> R:
            if self._answers is None or storage is self._reference:
                return await call(storage)
            self._answers.losses = list(losses) if told else []
            try:
                return await call(storage)
            finally:
                self._answers.losses = []

        return self._both(losing)

    @rule(append=_appends | _founding, losses=_losses)
    def append(self, append: Append, losses: list[Loss]) -> None:
        if append.create is not None and self._reference._documents.live(append.key, self._clock.now) is None:
            losses = []  # a second attempt would create another version than the reference did
        self._note([self._losing(losses, [append.key], lambda storage: storage.append(append))])

    # The two kinds are not mixed: a plain append may or may not see the session that another append creates.
    @rule(appends=st.lists(_appends, min_size=2, max_size=4) | st.lists(_founding, min_size=2, max_size=4))
    def append_at_once(self, appends: list[Append]) -> None:
        self._note(self._both(lambda storage: storage.append_many(appends)))

    @rule(
        picks=st.lists(some, min_size=1, max_size=3), state=states, items=_items(), keep=st.none() | st.integers(1, 4)
    )
    def update_with_items(self, picks: list[int], state: str, items: list[NewItem], keep: int | None) -> None:
        writes = [replace(write, items=items, keep=keep if items else None) for write in self._writes(picks, state)]
        self._note(self._both(lambda storage: storage.update_many([self._on(storage, write) for write in writes])))

    @rule(session=keys, log=_logs, newest=st.integers(0, 6), owner=owners | st.none(), losses=_losses)
    def pop(self, session: Key, log: str, newest: int, owner: str | None, losses: list[Loss]) -> None:
        self._edit(Edit(session, log, newest=newest, owner_id=owner), losses)

    @rule(session=keys, log=_logs, after=_positions, items=_items(), expected=st.none() | _positions, losses=_losses)
    def replace_items(
        self, session: Key, log: str, after: int, items: list[NewItem], expected: int | None, losses: list[Loss]
    ) -> None:
        items = [item._replace(log=log) for item in items]
        self._edit(Edit(session, log, after=after, items=items, expected_position=expected), losses)

    @rule(
        session=keys,
        log=_logs,
        items=_items(),
        after=_positions,
        keep=st.none() | st.integers(1, 5),
        apart=st.just((0, 0)) | st.tuples(st.integers(-1, 1), st.integers(-1, 1)),
        losses=_losses,
    )
    def replace_seen_items(
        self,
        session: Key,
        log: str,
        items: list[NewItem],
        after: int,
        keep: int | None,
        apart: tuple[int, int],
        losses: list[Loss],
    ) -> None:
        found = self._reference._documents.live(session, self._clock.now)
        if found is not None:
            summary, items = found.summary, [item._replace(log=log) for item in items]
            seen = SeenItems(summary.version, summary.last_position + apart[0], summary.item_count + apart[1])
            self._edit(Edit(session, log, after=after, keep=keep, items=items, seen=seen), losses)

    @rule(session=keys, log=_logs, keep=st.integers(0, 5), losses=_losses)
    def trim(self, session: Key, log: str, keep: int, losses: list[Loss]) -> None:
        self._edit(Edit(session, log, keep=keep), losses)

    @rule(session=keys, log=_logs, position=_positions, text=_texts, losses=_losses)
    def replace_item(self, session: Key, log: str, position: int, text: str, losses: list[Loss]) -> None:
        self._edit(Edit(session, log, put=(position, text)), losses)

    def _edit(self, edit: Edit, losses: list[Loss]) -> None:
        self._note([self._losing(losses, [edit.key], lambda storage: storage.edit(edit))])

    @rule()
    def land_late(self) -> None:
        """Lets the lost statements reach the database. They change nothing."""
        if self._answers is not None:
            self._runner.run(self._answers.land())

    @rule(source=keys, session=keys, until=st.none() | _positions, owner=owners | st.none(), version=st.integers(1, 99))
    def fork(self, source: Key, session: Key, until: int | None, owner: str | None, version: int) -> None:
        fork = Fork(source, session, until, owner, version=version << 53)
        self._note([self._both(lambda storage: storage.fork(fork))])

    @rule(sessions=batches, owner=owners | st.none(), fresh=st.booleans())
    def delete_some(self, sessions: list[Key], owner: str | None, fresh: bool) -> None:
        self.before_rows_go()
        unique = list(dict.fromkeys(sessions))
        seen = {summary.key: summary.version for summary in (self._seen if fresh else reversed(self._seen))}
        versions = [seen.get(session) for session in unique]
        owners = [owner] * len(unique)
        self._both(lambda storage: storage.delete_many(unique, owners=owners, versions=versions))

    @rule(sessions=batches, window=_windows, touch=st.booleans(), owner=owners | st.none())
    def read_window(self, sessions: list[Key], window: Window, touch: bool, owner: str | None) -> None:
        owners = [owner] * len(sessions)
        self._both(lambda storage: storage.get_many(sessions, touch=touch, owners=owners, window=window))
        self._both(lambda storage: storage.get(sessions[0], touch=touch, owner_id=owner, window=window))

    @rule(sessions=batches, owner=owners | st.none())
    def name_logs(self, sessions: list[Key], owner: str | None) -> None:
        self._both(lambda storage: storage.list_logs_many(sessions, owners=[owner] * len(sessions)))
        self._both(lambda storage: storage.list_logs(sessions[0], owner_id=owner))

    @rule(owner=owners | st.none(), limit=st.integers(1, 3))
    def list_recent(self, owner: str | None, limit: int) -> None:
        after: Any = None
        while True:
            page = self._both(
                lambda storage, after=after: storage.list(  # type: ignore[misc]
                    NAMESPACES[0], owner_id=owner, limit=limit, after=after, order="recent", states=True
                )
            )
            if (after := page.next) is None:
                break

    @invariant()
    def both_hold_the_same_items(self) -> None:
        everything: Sequence[Key] = [Key(namespace, name) for namespace in NAMESPACES for name in ("s", "s1", "t")]
        for log in _LOGS:
            window = Window(log, limit=99)
            self._both(lambda storage, window=window: storage.get_many(everything, touch=False, window=window))  # type: ignore[misc]
        for namespace in NAMESPACES:
            self._both(lambda storage, namespace=namespace: storage.find_many(namespace, _IDS))  # type: ignore[misc]
