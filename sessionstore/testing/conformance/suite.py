"""The suite as a class, for the tests of a provider to inherit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from sessionstore import SessionManager, StorageProvider

from ..capability import Capability
from ..clock import ManualClock
from ..support.documents import TTL, Chat, new_chat
from .given import MakeProvider, Managed, OpenAnother, Saved
from .model.losses import LoseAnswers
from .topic import FIXTURE, topic
from .topics import (
    any_type,
    append_items,
    append_with_state,
    check,
    clocks,
    close,
    complete,
    concurrent_calls,
    copies,
    create,
    delete,
    edit_items,
    expiry,
    filters,
    find,
    fork,
    fork_session,
    garbage,
    get,
    get_items,
    idempotency,
    ids,
    incarnations,
    item_appends,
    item_edits,
    item_reads,
    item_writes,
    items,
    journal,
    keep_items,
    list_logs,
    list_sessions,
    lives,
    orchestration,
    own_code,
    owners,
    purge,
    reaper,
    refused_states,
    restored,
    returned_values,
    round_trip,
    shapes,
    sharing,
    states_that_differ,
    states_that_stay,
    touch,
    typed_states,
    unstorable_text,
    update,
    update_concurrently,
    upgrade_states,
    upgrades,
)
from .topics import list as list_
from .topics import set as set_


class Calls:
    """Tests of the calls of a provider, and of a manager on it."""

    TestAppendItems = topic(append_items, Capability.ITEMS)
    TestAppendWithState = topic(append_with_state, Capability.ITEMS)
    TestCheck = topic(check)
    TestCreate = topic(create)
    TestDelete = topic(delete)
    TestEditItems = topic(edit_items, Capability.ITEMS)
    TestExpiry = topic(expiry)
    TestFind = topic(find, Capability.ITEMS)
    TestFork = topic(fork, Capability.ITEMS)
    TestForkSession = topic(fork_session, Capability.ITEMS)
    TestGet = topic(get)
    TestGetItems = topic(get_items, Capability.ITEMS)
    TestIdempotency = topic(idempotency)
    TestIncarnations = topic(incarnations)
    TestItemAppends = topic(item_appends, Capability.ITEMS)
    TestItemEdits = topic(item_edits, Capability.ITEMS)
    TestItemReads = topic(item_reads, Capability.ITEMS)
    TestItemWrites = topic(item_writes, Capability.ITEMS)
    TestItems = topic(items, Capability.ITEMS)
    TestKeepItems = topic(keep_items, Capability.ITEMS)
    TestList = topic(list_)
    TestListSessions = topic(list_sessions)
    TestOrchestration = topic(orchestration)
    TestOwners = topic(owners)
    TestPurge = topic(purge)
    TestReaper = topic(reaper)
    TestSet = topic(set_)
    TestTouch = topic(touch)
    TestUpdate = topic(update)
    TestUpdateConcurrently = topic(update_concurrently)


class Rows:
    """Tests of what a provider keeps, and of how it is opened and closed."""

    TestClocks = topic(clocks)
    TestClose = topic(close)
    TestComplete = topic(complete)
    TestCopies = topic(copies)
    TestFilters = topic(filters)
    TestJournal = topic(journal)
    TestListLogs = topic(list_logs, Capability.ITEMS)
    TestRestored = topic(restored, Capability.RESTORED)
    TestSharing = topic(sharing, Capability.SHARED)
    TestShapes = topic(shapes, Capability.ITEMS | Capability.SHAPES)
    TestUpgradeStates = topic(upgrade_states, Capability.ITEMS | Capability.SHAPES | Capability.RESHAPING)
    TestUpgrades = topic(upgrades, Capability.ITEMS | Capability.SHAPES)


class Texts:
    """Tests of states and ids of all kinds: each comes back as it was given, or is refused."""

    TestAnyType = topic(any_type)
    TestGarbage = topic(garbage)
    TestIds = topic(ids)
    TestOwnCode = topic(own_code)
    TestRefusedStates = topic(refused_states)
    TestReturnedValues = topic(returned_values)
    TestRoundTrip = topic(round_trip)
    TestStatesThatDiffer = topic(states_that_differ)
    TestStatesThatStay = topic(states_that_stay)
    TestTypedStates = topic(typed_states)
    TestUnstorableText = topic(unstorable_text)


class Models:
    """Tests with random programs of calls."""

    TestConcurrentCalls = topic(concurrent_calls, Capability.ITEMS)
    TestLives = topic(lives)


class ProviderConformance(Calls, Rows, Texts, Models):
    """Tests what every provider promises. Inherit it, declare the capabilities, and override ``make_provider``.

    Attributes:
        capabilities: What the provider can do. Tests that need another capability are left out.
    """

    capabilities: ClassVar[Capability]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        parameters = {
            name for part in cls.__mro__ for topic in vars(part).values() for name in getattr(topic, "parameters", ())
        }
        for name, member in vars(cls).items():
            if isinstance(member, FIXTURE) and name in parameters:
                raise TypeError(
                    f"the fixture {name!r} has the name of a parameter in tests of the suite; rename the fixture"
                )

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        """Returns a function that makes a provider on an empty storage of the test. Override this fixture.

        The function takes the clock. If the provider is SHARED, the function is called several times.
        """
        raise NotImplementedError(
            "override the fixture make_provider, which returns a function that takes the clock and makes a provider"
        )

    @pytest.fixture
    def saved(self) -> Saved:
        """Notes the content of the storage, and returns a function that puts it back. Override it for RESTORED."""
        raise NotImplementedError("override the fixture saved, or do not declare RESTORED")

    @pytest.fixture
    def lose_answers(self) -> LoseAnswers:
        """Returns a function that loses answers of a provider. By default, no answer is lost."""
        return lambda storage: None

    @pytest.fixture(name="capabilities")
    def _capabilities(self) -> Capability:
        """The capabilities of the provider."""
        return self.capabilities

    @pytest.fixture
    def make_manager(self) -> Callable[..., SessionManager[Any]]:
        """Makes a manager. Takes the arguments of its constructor."""
        return SessionManager

    @pytest.fixture
    def clock(self, sessionstore_clock: ManualClock) -> ManualClock:
        """The time of the storage. It stands still until the test moves it."""
        return sessionstore_clock

    @pytest_asyncio.fixture(loop_scope="function")
    async def open_another(self, make_provider: MakeProvider, clock: ManualClock) -> AsyncIterator[OpenAnother]:
        """Opens another provider on the sessions of the test. It is closed when the test ends."""
        made: list[StorageProvider] = []
        async with AsyncExitStack() as opened:

            async def open_another() -> StorageProvider:
                if Capability.SHARED in self.capabilities or not made:
                    made.append(await opened.enter_async_context(make_provider(clock)))
                return made[-1]

            yield open_another

    @pytest_asyncio.fixture(loop_scope="function")
    async def storage(self, open_another: OpenAnother) -> StorageProvider:
        """An open provider without sessions."""
        return await open_another()

    @pytest.fixture
    def managed(self, storage: StorageProvider, make_manager: Callable[..., SessionManager[Any]]) -> Managed:
        """Makes managers whose states are dictionaries and whose sessions live for half an hour."""

        def make(storage: StorageProvider = storage, **options: Any) -> SessionManager[Any]:
            defaults: dict[str, Any] = {"default_state": new_chat, "namespace": "chat", "ttl": TTL}
            return make_manager(storage=storage, **defaults | options)

        return make

    @pytest.fixture
    def chats(self, managed: Managed) -> SessionManager[Chat]:
        """A manager whose states are dictionaries and whose sessions live for half an hour."""
        return managed()

    @pytest_asyncio.fixture(loop_scope="function")
    async def desk(self, managed: Managed) -> SessionManager[Chat]:
        """A manager like `chats`, with the session "s"."""
        desk = managed()
        await desk.create_session("s")
        return desk
