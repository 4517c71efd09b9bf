"""An adapter without its framework says which extra to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .frameworks import ROOT, Framework, frameworks

_ADAPTERS = [framework for framework in frameworks() if framework.extra]


@pytest.mark.parametrize("framework", _ADAPTERS, ids=lambda framework: framework.name)
def test_an_adapter_without_its_framework_names_the_extra(framework: Framework) -> None:
    # A module that is None in sys.modules counts as one that is not installed.
    program = f"import sys; sys.modules['{framework.module}'] = None; import sessionstore.integrations.{framework.name}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert f"pip install 'sessionstore[{framework.extra}]'" in done.stderr.splitlines()[-1]


def test_every_adapter_has_a_folder_of_tests_and_an_extra() -> None:
    names = {framework.name for framework in _ADAPTERS}
    modules = (ROOT / "sessionstore" / "integrations").rglob("*.py")
    needing = [file for file in modules if " missing_extra\n" in file.read_text(encoding="utf-8")]
    needy = {file.stem if file.parent.name == "integrations" else file.parent.name for file in needing}
    # Parts of an adapter begin with its name.
    assert {name for name in needy if not any(name.startswith(f"{adapter}_") for adapter in names)} == names
