"""Django is configured once in a process, before its modules are imported; each test then names its own storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .configured import configure

configure("memory://", ROOT_URLCONF="tests.integrations.django.urls")


@pytest.fixture
def engine(shared_url: str) -> Iterator[str]:
    """Sessions are kept in an empty storage at this URL."""
    from django.test import override_settings

    from sessionstore.integrations.django.keeper import forget, keeper

    with override_settings(SESSIONSTORE={"URL": shared_url}):
        yield shared_url
        keeper().storage.close()
    forget()
