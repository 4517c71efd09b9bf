"""The faces of `sessionstore.sync`, written from the asynchronous classes: `python -m tests.sync` writes them anew.

A face has the signatures and docstrings of its class. Each method passes its arguments on. A test compares the modules
with what is written here, so that they do not drift apart.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2] / "sessionstore"

_WORDS: Final = (("async with", "with"),)


@dataclass(frozen=True)
class Face:
    """A class, by the module that has it and that its face is in.

    Attributes:
        module: The module below `sessionstore` and below `sessionstore.sync`.
        name: The name of the class.
        about: The first line of the module.
        bases: What the face inherits from, if it is not what the class does.
        imports: What the face needs beside what its signatures name.
    """

    module: str
    name: str
    about: str
    bases: str = ""
    imports: str = ""

    @property
    def path(self) -> Path:
        return ROOT.joinpath("sync", *self.module.split(".")).with_suffix(".py")


_STORED: Final = {"bases": "Stored", "imports": "from .stored import Stored"}
_KIND: Final = {"imports": "from .kind import Kind"}

FACES: Final = (
    Face("storage.documents", "Documents", "The documents of a synchronous storage.", **_STORED),
    Face("storage.logs", "Logs", "The items of a synchronous storage.", **_STORED),
    Face("storage.upkeep", "Upkeep", "The upkeep of a synchronous storage.", **_STORED),
    Face("calls.creating", "Creating", "The synchronous calls that create sessions.", **_KIND),
    Face(
        "calls.appending",
        "Appending",
        "The synchronous call that appends items.",
        imports="from .creating import Creating",
    ),
    Face("calls.reading", "Reading", "The synchronous calls that read a session and its items.", **_KIND),
    Face("calls.editing", "Editing", "The synchronous calls that remove and replace items.", **_KIND),
    Face("calls.listing", "Listing", "The synchronous call that lists sessions.", **_KIND),
    Face("calls.erasure", "Erasure", "The synchronous calls that delete sessions.", **_KIND),
    Face("calls.reshaping", "Upgrading", "The synchronous call that upgrades states and items.", **_KIND),
    Face(
        "manager",
        "SessionManager",
        "SessionManager, for programs without asyncio.",
        imports="""
from ..manager import SessionManager as AsyncSessionManager
from .calls.appending import Appending
from .calls.editing import Editing
from .calls.erasure import Erasure
from .calls.listing import Listing
from .calls.reading import Reading
from .calls.reshaping import Upgrading
from .storage import StorageProvider, reached
""",
    ),
    Face(
        "orchestration",
        "OrchestrationStateManager",
        "OrchestrationStateManager, for programs without asyncio.",
        bases="Linked",
        imports="""
from ..orchestration import OrchestrationStateManager as AsyncOrchestrationStateManager
from .link import Linked
from .storage import StorageProvider, reached
""",
    ),
    Face(
        "reaper",
        "Reaper",
        "Reaper, for programs without asyncio.",
        bases="Linked",
        imports="""
from ..reaper import Reaper as AsyncReaper
from .entered import entered
from .link import Linked
from .storage import StorageProvider, reached
""",
    ),
)


def written(face: Face) -> str:
    """The text of the module of a face."""
    source = ROOT.joinpath(*face.module.split(".")).with_suffix(".py")
    module = ast.parse(source.read_text(encoding="utf-8"))
    class_ = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == face.name)
    methods = [method for node in class_.body if (method := _method(node, face)) is not None]
    bases = face.bases or ", ".join(map(ast.unparse, class_.bases))
    body = "\n\n".join(_indented(ast.unparse(method)) for method in methods)
    doc = _indented(f'"""{_worded(ast.get_docstring(class_, clean=False))}"""')
    asynchronous = f"\n    asynchronous: Async{face.name}{_generic(bases)}\n" if "." not in face.module else ""
    text = f"class {face.name}({bases}):\n{doc}\n{asynchronous}\n{body}\n"
    origin = source.relative_to(ROOT.parent)
    about = f'"""{face.about}\n\nWritten by `python -m tests.sync`, from `{origin}`.\n"""'
    imports = "\n".join([*_imports(module, face, text), face.imports])
    return _formatted(f"{about}\n\nfrom __future__ import annotations\n\n{imports}\n\n\n{text}", face.path)


def _method(node: ast.stmt, face: Face) -> ast.FunctionDef | None:
    if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
        return None
    if node.name == "__init__":
        return _constructor(node, face)
    if node.name.startswith("_"):
        return None
    call = f"self.asynchronous.{node.name}({_passed(node.args)})"
    managed = any(ast.unparse(decorator) == "asynccontextmanager" for decorator in node.decorator_list)
    body = f"return entered(self._link, {call})" if managed else f"return self._run({call})"
    returns = ast.parse("AbstractContextManager[None]", mode="eval").body if managed else node.returns
    documented = ast.Expr(ast.Constant(_worded(ast.get_docstring(node, clean=False))))
    return _function(node, [documented, *ast.parse(body).body], returns)


def _constructor(node: ast.AsyncFunctionDef | ast.FunctionDef, face: Face) -> ast.FunctionDef:
    passed = _passed(node.args).replace("storage", "provider", 1)
    generic = "[T, I]" if face.name == "SessionManager" else ""
    body = f"""
provider, self._link = reached(storage)
self.asynchronous = Async{face.name}{generic}({passed})
"""
    return _function(node, ast.parse(body).body, node.returns)


def _function(
    node: ast.AsyncFunctionDef | ast.FunctionDef, body: list[ast.stmt], returns: ast.expr | None
) -> ast.FunctionDef:
    made = ast.FunctionDef(node.name, node.args, body, [], returns, None)
    return ast.copy_location(made, node)


def _passed(arguments: ast.arguments) -> str:
    by_place = [argument.arg for argument in arguments.args[1:]]
    by_name = [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    rest = [] if arguments.kwarg is None else [f"**{arguments.kwarg.arg}"]
    return ", ".join([*by_place, *by_name, *rest])


def _generic(bases: str) -> str:
    return "[T, I]" if "[T, I]" in bases else ""


def _imports(module: ast.Module, face: Face, text: str) -> Iterator[str]:
    """Imports of the names that the face has in its signatures, from where the class has them."""
    package = ["sessionstore", *face.module.split(".")[:-1]]
    dots = "." * (len(package) + 1)
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            wanted = [name.name for name in node.names if name.name in names and name.name not in face.imports]
            if wanted and node.level:
                origin = package[1 : len(package) - node.level + 1] + ([node.module] if node.module else [])
                yield f"from {dots}{'.'.join(origin)} import {', '.join(wanted)}"
            elif wanted:
                yield f"from {node.module} import {', '.join(wanted)}"
    defined = [target for node in module.body for target in _defined(node) if target in names and target != face.name]
    if defined:
        yield f"from {dots}{face.module} import {', '.join(defined)}"
    if "AbstractContextManager" in names:
        yield "from contextlib import AbstractContextManager"


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return [node.name] if isinstance(node, ast.ClassDef) else []


def _worded(doc: str | None) -> str:
    assert doc is not None
    for asynchronous, synchronous in _WORDS:
        doc = doc.replace(asynchronous, synchronous)
    return doc


def _indented(text: str) -> str:
    """Indents code by a level, and leaves the lines of docstrings where they are."""
    lines = text.split("\n")
    inside = False
    for number, line in enumerate(lines):
        if not inside and line:
            lines[number] = f"    {line}"
        if line.count('"""') % 2:
            inside = not inside
    return "\n".join(lines)


def _formatted(text: str, path: Path) -> str:
    for command in (["check", "--select", "I", "--fix-only", "--quiet"], ["format", "--quiet"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"]
        text = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True).stdout
    return text
