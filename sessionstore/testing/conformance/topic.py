"""Topics: makes a class of the tests and fixtures of a module. pytest collects it inside the class of a provider."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final

import pytest

from ..capability import Capability, needed_by

# pytest has no public name for the class of fixtures.
FIXTURE: Final = type(pytest.fixture(lambda: None))


def topic(module: ModuleType, needs: Capability = Capability(0)) -> type:  # noqa: B008  # it is immutable
    """Makes the class of a module.

    Args:
        module: The module with the tests, which are functions, and with fixtures for these tests alone.
        needs: The capabilities that all of the tests need.
    """
    needed: dict[str, Capability] = {}
    parameters: set[str] = set()
    members: dict[str, Any] = {
        "__doc__": module.__doc__,
        "__module__": module.__name__,
        "needed": needed,
        "parameters": parameters,
    }
    for name, member in vars(module).items():
        if name.startswith("test_"):
            # The mark works in any mode of pytest-asyncio. The test runs in the event loop of its fixtures.
            test = pytest.mark.asyncio(loop_scope="function")(member) if _is_coroutine(member) else member
            members[name] = staticmethod(test)
            needed[name] = needs | needed_by(member)
            parameters.update(_parameters(member))
        elif isinstance(member, FIXTURE):
            members[name] = staticmethod(member)
    return type("Test" + module.__name__.rpartition(".")[2].title().replace("_", ""), (), members)


def _is_coroutine(test: object) -> bool:
    # Hypothesis wraps the coroutine function in a plain function.
    return inspect.iscoroutinefunction(getattr(getattr(test, "hypothesis", None), "inner_test", test))


def _parameters(test: object) -> Iterator[str]:
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    for mark in marks:
        if mark.name == "parametrize":
            names: str | Sequence[str] = mark.args[0]
            yield from [names] if isinstance(names, str) else names
