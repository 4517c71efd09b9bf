"""A wheel, and an environment that has it: built once for all tests of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Service:
    """An environment that has the wheel and no checkout, and an empty directory to work in."""

    environment: Path
    directory: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the environment with nothing of ours in its surroundings."""
        ours = ("PYTHON", "COVERAGE_", "COV_CORE_", "SESSIONSTORE_", "SESSION_TTL_")
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [self.environment / "bin" / command, *arguments],
            cwd=self.directory,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def build(source: Path, target: Path, kind: str) -> Path:
    """Builds the wheel or the sdist of a source tree, with the build backend of this environment."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", target, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(CHECKOUT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="session")
def service(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    environment = tmp_path_factory.mktemp("service") / "venv"
    venv.create(environment, symlinks=True)
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    # The dependencies are those of the environment that runs the tests. The .pth file of its editable install is not
    # followed from here, so the checkout stays out.
    (packages,) = environment.glob("lib/python*/site-packages")
    shared = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(shared))
    for name in ("alembic",):  # the command of a dependency
        script = environment / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{python}" -m {name} "$@"\n')
        script.chmod(0o755)
    return Service(environment, tmp_path_factory.mktemp("elsewhere"))
