"""A topic: the tests and fixtures of one module, as a class that pytest collects inside the class of a provider."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final

import pytest

from ..capability import Capability, needed_by

# Their class has no public name.
FIXTURE: Final = type(pytest.fixture(lambda: None))


def topic(module: ModuleType, needs: Capability = Capability(0)) -> type:  # noqa: B008  # it is immutable
    """Makes the class of a module.

    Args:
        module: Has the tests as functions, and the fixtures that are for them alone.
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
            # In any mode of pytest-asyncio, and in a loop of the test's own, as the storage.
            test = pytest.mark.asyncio(loop_scope="function")(member) if _is_coroutine(member) else member
            members[name] = staticmethod(test)
            needed[name] = needs | needed_by(member)
            parameters.update(_parameters(member))
        elif isinstance(member, FIXTURE):
            members[name] = staticmethod(member)
    return type("Test" + module.__name__.rpartition(".")[2].title().replace("_", ""), (), members)


def _is_coroutine(test: object) -> bool:
    # A test of Hypothesis is a function around the coroutine function.
    return inspect.iscoroutinefunction(getattr(getattr(test, "hypothesis", None), "inner_test", test))


def _parameters(test: object) -> Iterator[str]:
    marks: list[pytest.Mark] = getattr(test, "pytestmark", [])
    for mark in marks:
        if mark.name == "parametrize":
            names: str | Sequence[str] = mark.args[0]
            yield from [names] if isinstance(names, str) else names
