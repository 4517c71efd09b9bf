"""The suite for a provider that a URL names."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

import pytest

from sessionstore import open_storage
from sessionstore.testing.conformance import Capability, MakeProvider, ProviderConformance
from sessionstore.testing.conformance.suite import Models, Texts

ALL = ~Capability(0)

S = TypeVar("S", bound=type[ProviderConformance])


def without(*topics: str) -> Callable[[S], S]:
    """Takes topics out of a suite: what they test does not depend on the provider, and others test it."""

    def cut(suite: S) -> S:
        for name in topics:
            setattr(suite, name, None)
        return suite

    return cut


TEXTS = tuple(name for name in vars(Texts) if name.startswith("Test"))
"""The topics whose tests send many texts through the same statements."""


class OnUrl(ProviderConformance):
    """Attributes:
    kind: Which URL, see the fixture url_of_kind.
    """

    capabilities = ALL
    kind: ClassVar[str]

    @pytest.fixture
    def url(self, url_of_kind: Callable[[str], str]) -> str:
        return url_of_kind(self.kind)

    @pytest.fixture
    def make_provider(self, url: str) -> MakeProvider:
        return lambda clock: open_storage(url, clock=clock)


MODELS = tuple(name for name in vars(Models) if name.startswith("Test"))
"""The topics that make many calls at random."""


@without("TestCheck", *TEXTS, *MODELS)
class OnPreviousRevision(OnUrl):
    """The newest code on tables of the previous revision: with all that states need."""

    capabilities = Capability.SHARED | Capability.RESTORED
