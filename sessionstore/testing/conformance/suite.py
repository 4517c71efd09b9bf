"""The suite, as a class that the tests of a provider inherit."""

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
    append_with_state,
    check,
    clocks,
    close,
    complete,
    concurrent_calls,
    copies,
    create,
    delete,
    expiry,
    filters,
    find,
    fork,
    fork_session,
    garbage,
    get,
    idempotency,
    ids,
    incarnations,
    item_changes,
    item_reads,
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
)
from .topics import (
    list as list_,
)
from .topics import (
    set as set_,
)


class Calls:
    """The calls of a provider, and those of a manager on it."""

    TestAppendWithState = topic(append_with_state, Capability.ITEMS)
    TestCheck = topic(check)
    TestCreate = topic(create)
    TestDelete = topic(delete)
    TestExpiry = topic(expiry)
    TestFind = topic(find, Capability.ITEMS)
    TestFork = topic(fork, Capability.ITEMS)
    TestForkSession = topic(fork_session, Capability.ITEMS)
    TestGet = topic(get)
    TestIdempotency = topic(idempotency)
    TestIncarnations = topic(incarnations)
    TestItemChanges = topic(item_changes, Capability.ITEMS)
    TestItemReads = topic(item_reads, Capability.ITEMS)
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
    """What a provider keeps, and how it is opened and closed."""

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


class Texts:
    """States and ids of all kinds, which come back as they were given or are refused."""

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
    """Random programs of calls."""

    TestConcurrentCalls = topic(concurrent_calls, Capability.ITEMS)
    TestLives = topic(lives)


class ProviderConformance(Calls, Rows, Texts, Models):
    """What every provider promises. Inherit it in a test module, declare the capabilities, and make the provider.

    Attributes:
        capabilities: What the provider can do. Tests that need what it does not declare are not there.
    """

    capabilities: ClassVar[Capability]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        parameters = {
            name for part in cls.__mro__ for topic in vars(part).values() for name in getattr(topic, "parameters", ())
        }
        for name, member in vars(cls).items():
            if isinstance(member, FIXTURE) and name in parameters:
                raise TypeError(f"tests of the suite have a parameter {name!r}; give the fixture another name")

    @pytest.fixture
    def make_provider(self) -> MakeProvider:
        """Makes a provider on the sessions of the test, of which there are none yet. To be overridden.

        What it returns takes the clock, and is called several times if the provider is SHARED.
        """
        raise NotImplementedError("override the fixture make_provider: it returns a function of a clock")

    @pytest.fixture
    def saved(self) -> Saved:
        """Notes the content of the storage, and returns what puts it back. To be overridden for RESTORED."""
        raise NotImplementedError("override the fixture saved, or do not declare RESTORED")

    @pytest.fixture
    def lose_answers(self) -> LoseAnswers:
        """Loses answers of a provider. Without a way into the provider, none."""
        return lambda storage: None

    @pytest.fixture(name="capabilities")
    def _capabilities(self) -> Capability:
        """What the provider can do."""
        return self.capabilities

    @pytest.fixture
    def make_manager(self) -> Callable[..., SessionManager[Any]]:
        """Makes a manager; takes what its constructor takes."""
        return SessionManager

    @pytest.fixture
    def clock(self, sessionstore_clock: ManualClock) -> ManualClock:
        """The time of the storage. It stands still until the test moves it."""
        return sessionstore_clock

    @pytest_asyncio.fixture(loop_scope="function")
    async def open_another(self, make_provider: MakeProvider, clock: ManualClock) -> AsyncIterator[OpenAnother]:
        """Opens another provider on the sessions of the test. The test's end closes it."""
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
        """Makes managers of dictionaries whose sessions live half an hour."""

        def make(storage: StorageProvider = storage, **options: Any) -> SessionManager[Any]:
            defaults: dict[str, Any] = {"default_state": new_chat, "namespace": "chat", "ttl": TTL}
            return make_manager(storage=storage, **defaults | options)

        return make

    @pytest.fixture
    def chats(self, managed: Managed) -> SessionManager[Chat]:
        """A manager of dictionaries whose sessions live half an hour."""
        return managed()
