"""The faces have the names, arguments and docstrings of the asynchronous API, and pass their arguments on."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import sessionstore
from sessionstore import sync
from sessionstore.sync.link import Link

from .faces import FACES, Face, written

_CLASSES = (
    "SessionManager",
    "OrchestrationStateManager",
    "Reaper",
    "StorageProvider",
    "MemoryStorageProvider",
    "SqlStorageProvider",
)
_WORDS = (("async with", "with"), ("AsyncGenerator[None]", "AbstractContextManager[None]"))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.module)
def test_the_modules_of_the_faces_are_what_the_generator_writes(face: Face) -> None:
    assert face.path.read_text(encoding="utf-8") == written(face), "run `make format`"


def test_every_public_name_is_there() -> None:
    assert sync.__all__ == sessionstore.__all__
    same = {name for name in sync.__all__ if getattr(sync, name) is getattr(sessionstore, name)}
    assert set(sync.__all__) - same == {*_CLASSES, "open_storage"}
    with pytest.raises(AttributeError, match=r"'sessionstore\.sync' has no attribute 'no_such'"):
        _ = sync.no_such


def _public(class_: type) -> dict[str, Callable[..., Any]]:
    return {
        name: function
        for name, function in inspect.getmembers(class_, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    shown = [parameter for name, parameter in signature.parameters.items() if not name.startswith("_")]
    return _worded(str(signature.replace(parameters=shown)))


def _worded(text: str | None) -> str:
    assert text is not None
    for asynchronous, synchronous in _WORDS:
        text = text.replace(asynchronous, synchronous)
    return re.sub(r"<Batching.*?>", "", text)


def _pairs() -> Iterator[Any]:
    for class_name in _CLASSES:
        ours, theirs = getattr(sync, class_name), getattr(sessionstore, class_name)
        # What our providers override is documented in the protocol. `from_url` is what open_storage() calls.
        names = (
            {"__init__"} if class_name in ("MemoryStorageProvider", "SqlStorageProvider") else _public(theirs).keys()
        )
        for name in sorted(names - ({"__init__"} if class_name == "StorageProvider" else set())):
            yield pytest.param(getattr(ours, name, None), getattr(theirs, name), id=f"{class_name}.{name}")
    yield pytest.param(sync.open_storage, sessionstore.open_storage, id="open_storage")


@pytest.mark.parametrize(("ours", "theirs"), list(_pairs()))
def test_a_face_has_the_signature_and_the_docstring(ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    assert _signature(ours) == _signature(theirs)
    if theirs.__name__ != "__init__":
        assert inspect.getdoc(ours) == _worded(inspect.getdoc(theirs))
    assert not inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize("name", [name for name in _CLASSES if name != "StorageProvider"])
def test_a_class_has_the_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(sync, name)) == inspect.getdoc(getattr(sessionstore, name))


def test_faces_have_no_other_public_names() -> None:
    for name in _CLASSES:
        assert _public(getattr(sync, name)).keys() <= _public(getattr(sessionstore, name)).keys()


class _Noted:
    """Stands in for the asynchronous object, and returns what it was called with."""

    def __init__(self, class_: type) -> None:
        self._class = class_

    def __getattr__(self, name: str) -> Callable[..., Any]:
        signature = inspect.signature(getattr(self._class, name))

        async def call(*arguments: Any, **named: Any) -> dict[str, Any]:
            return dict(signature.bind(None, *arguments, **named).arguments)

        return call


class _Alone(Link):
    """Runs what does not wait, without a loop."""

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as ended:
            return ended.value
        raise AssertionError


def _methods() -> Iterator[Any]:
    for class_name in _CLASSES[:4]:
        for name in sorted(_public(getattr(sync, class_name)).keys() - {"__init__", "every", "close"}):
            yield pytest.param(class_name, name, id=f"{class_name}.{name}")


@pytest.mark.parametrize(("class_name", "name"), list(_methods()))
def test_a_method_passes_each_argument_on(class_name: str, name: str) -> None:
    class_ = getattr(sync, class_name)
    face = object.__new__(class_)
    face.asynchronous, face._link = _Noted(getattr(sessionstore, class_name)), _Alone()
    parameters = list(inspect.signature(getattr(class_, name)).parameters.values())[1:]
    given: dict[str, Any] = {it.name: {"a": object()} if it.kind is it.VAR_KEYWORD else object() for it in parameters}
    by_name = {it.name: given[it.name] for it in parameters if it.kind is not it.VAR_KEYWORD}
    more = {key: value for it in parameters if it.kind is it.VAR_KEYWORD for key, value in given[it.name].items()}
    passed = getattr(face, name)(**by_name, **more)
    if passed is not None:  # check() returns nothing
        assert {key: value for key, value in passed.items() if key != "self"} == given
