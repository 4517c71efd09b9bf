"""An environment for one version of one framework, and what runs in it."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Final, Literal, TypeAlias

from .frameworks import FRAMEWORK, HERE, MADE, ROOT, Framework
from .suites import NoNetworkError, fetch, pip

Bound: TypeAlias = Literal["oldest", "newest"]
BOUNDS: Final[tuple[Bound, ...]] = ("oldest", "newest")

# What leaks in from the caller's shell must not decide which code is run.
_LEAKING: Final = ("PYTHON", "COVERAGE_", "COV_CORE_", "SESSIONSTORE_", "SESSION_TTL_", "PYTEST_")
_KEPT: Final = "SESSIONSTORE_TEST_DATABASE_URL"


@dataclass(frozen=True)
class Outcome:
    """What came of one version of one framework.

    Attributes:
        framework: Its name.
        bound: Which version.
        version: The version; "": it could not be installed.
        passed: How many tests passed.
        fault: What failed, and where its output is; "": nothing.
        not_run: Why nothing was run; "": it was run.
    """

    framework: str
    bound: Bound
    version: str = ""
    passed: int = 0
    fault: str = ""
    not_run: str = ""


def run(framework: Framework, bound: Bound, arguments: list[str]) -> Outcome:
    """Makes the environment, and runs the folder's tests and, with the newest version, the type checker."""
    try:
        python = _made(framework, bound)
        for suite in framework.suites:
            fetch(suite)
    except NoNetworkError:
        return Outcome(framework.name, bound, not_run="the package index cannot be reached")
    except subprocess.CalledProcessError as error:
        return Outcome(framework.name, bound, fault=f"pip failed:\n{error.stderr}")
    version = _version(python, framework.package)
    report = MADE / f"{framework.name}-{bound}.xml"
    tests = str(HERE.relative_to(ROOT) / framework.name)
    # Warnings of frameworks about themselves are no faults of ours.
    lenient = ["-o", "filterwarnings=default", "-p", "no:cacheprovider", f"--junitxml={report}"]
    commands = [["pytest", tests, "-q", *lenient, *arguments]]
    if bound == "newest" and not arguments:
        own = (ROOT / "sessionstore" / "integrations").glob(f"{framework.name}*") if framework.extra else ()
        adapter = [str(module.relative_to(ROOT)) for module in sorted(own)]
        commands.insert(0, ["mypy", "--config-file", str(HERE / "mypy.ini"), *adapter, tests])
    for command in commands:
        fault = _run(python, command, framework.name, MADE / f"{framework.name}-{bound}.log")
        if fault:
            return Outcome(framework.name, bound, version, fault=fault)
    passed, skipped = _counted(report)
    if skipped:
        fault = f"{skipped} tests were skipped, see {report.relative_to(ROOT)}"
        return Outcome(framework.name, bound, version, passed=passed, fault=fault)
    return Outcome(framework.name, bound, version, passed=passed)


def _made(framework: Framework, bound: Bound) -> Path:
    """The interpreter of the environment. The newest version is looked for at each run."""
    folder = MADE / f"{framework.name}-{bound}"
    python = folder / "bin" / "python"
    stamp = folder / "installed.txt"
    wanted = framework.package if bound == "newest" else f"{framework.package}=={framework.oldest}"
    extras = ",".join(["tests", *([framework.extra] if framework.extra else [])])
    requirements = [wanted, *framework.needs, "--editable", f".[{extras}]"]
    state = "\n".join(
        [sys.version, *requirements, *framework.pip, (ROOT / "pyproject.toml").read_text(encoding="utf-8")]
    )
    if stamp.exists() and stamp.read_text(encoding="utf-8") == state:
        if bound == "newest":
            pip(python, "install", "--quiet", "--upgrade", *framework.pip, wanted)
        return python
    MADE.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip(python, "install", "--quiet", "--no-compile", *framework.pip, *requirements)
    stamp.write_text(state, encoding="utf-8")
    return python


def _version(python: Path, package: str) -> str:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    (found,) = distributions(name=package, path=[str(packages)])
    return found.version


def _run(python: Path, command: list[str], name: str, log: Path) -> str:
    """Runs a module; what failed, or ""."""
    kept = {name: value for name, value in os.environ.items() if name == _KEPT or not name.startswith(_LEAKING)}
    environment = kept | {FRAMEWORK: name, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [python, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if not done.returncode:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([f"{command[0]} failed, see {log.relative_to(ROOT)}:", *lines[-60:]])


def _counted(report: Path) -> tuple[int, int]:
    """How many tests passed, and how many were skipped."""
    # The report is our own.
    suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314
    ran, skipped = (sum(int(one.get(name, 0)) for one in suites) for name in ("tests", "skipped"))
    return ran - skipped, skipped
