"""The frameworks that have a folder here: which versions are tested, and what their tests need."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
MADE: Final = ROOT / ".frameworks"
"""Environments, suites and reports. Git ignores the folder."""

FRAMEWORK: Final = "SESSIONSTORE_FRAMEWORK"
"""The environment variable that names the framework whose tests are collected."""


@dataclass(frozen=True)
class Suite:
    """Tests of a framework: a source distribution from PyPI, by version and hash."""

    package: str
    version: str
    sha256: str

    @property
    def folder(self) -> Path:
        """Where it is unpacked."""
        return MADE / "suites" / f"{self.package}-{self.version}"


@dataclass(frozen=True)
class Framework:
    """One folder.

    Attributes:
        name: The folder, and the adapter in sessionstore/integrations.
        package: The package whose oldest and newest versions are tested.
        module: The package's name when it is imported.
        oldest: The oldest version that is supported.
        extra: The extra of this project that installs it; None: there is no adapter, only an example.
        needs: What else its tests need.
        pip: Options for installing it.
        suites: The framework's own tests.
    """

    name: str
    package: str
    module: str
    oldest: str
    extra: str | None
    needs: tuple[str, ...]
    pip: tuple[str, ...]
    suites: tuple[Suite, ...]


def frameworks() -> list[Framework]:
    """All of them, by name."""
    extras = _extras()
    return [_read(file, extras) for file in sorted(HERE.glob("*/framework.toml"))]


def _extras() -> dict[str, list[Requirement]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name: [*map(Requirement, needed)] for name, needed in project["optional-dependencies"].items()}


def _read(file: Path, extras: dict[str, list[Requirement]]) -> Framework:
    told = tomllib.loads(file.read_text(encoding="utf-8"))
    name = file.parent.name
    extra = name.replace("_", "-")
    return Framework(
        name=name,
        package=told["package"],
        module=told["module"],
        oldest=_lower_bound(Requirement(told["floor"]) if "floor" in told else _of(told["package"], extras[extra])),
        extra=extra if extra in extras else None,
        needs=tuple(told.get("needs", ())),
        pip=tuple(told.get("pip", ())),
        suites=tuple(map(_suite, told.get("suites", ()))),
    )


def _of(package: str, requirements: list[Requirement]) -> Requirement:
    (found,) = [requirement for requirement in requirements if requirement.name == package]
    return found


def _lower_bound(requirement: Requirement) -> str:
    (bound,) = [bound.version for bound in requirement.specifier if bound.operator == ">="]
    return bound


def _suite(told: dict[str, Any]) -> Suite:
    package, _, version = told["requirement"].partition("==")
    return Suite(package, version, told["sha256"])
