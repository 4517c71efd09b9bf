"""What docs/providers.md shows: a provider, which passes the suite in a pytest of its own. Wrong ones fail."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from sessionstore.testing.conformance import Capability, MakeProvider, ProviderConformance
from tests.support.pages import ROOT, blocks_of

from . import broken_providers
from .elsewhere import told_by_pytest, written

_FILES = {"conftest": "conftest.py", "provider": "file_provider.py", "tests": "test_file_provider.py"}

_BROKEN = """
import pytest
from broken_providers import WRONG
from file_provider import FileStorageProvider
from test_file_provider import TestFileStorageProvider as _Right


def wrong(fault):
    provider = type(fault.__name__, (fault, FileStorageProvider), {})

    class Wrong(_Right):
        @pytest.fixture
        def make_provider(self, path):
            return lambda clock: provider(path, clock=clock)

    return Wrong


globals().update({f"Test{fault.__name__}": wrong(fault) for fault in WRONG})
"""

_ON_MEMORY = """
import pytest
from sessionstore import MemoryStorageProvider
from sessionstore.testing.conformance import ProviderConformance


class TestMine(ProviderConformance):
    DECLARED

    @pytest.fixture
    def make_provider(self):
        return lambda clock: MemoryStorageProvider(clock=clock)
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return written("providers.md", _FILES, tmp_path)


def test_the_provider_of_the_page_is_short() -> None:
    (provider,) = [block.code for block in blocks_of(ROOT / "docs" / "providers.md") if block.language == "provider"]
    assert len(provider.splitlines()) <= 150
    ast.parse(provider)


def test_the_provider_of_the_page_passes(page: Path) -> None:
    told = told_by_pytest(page)
    assert re.search(r"^\d{4} passed in", told, re.MULTILINE), told


def test_the_suite_fails_for_wrong_providers(page: Path) -> None:
    (page / "broken_providers.py").write_text(Path(broken_providers.__file__).read_text(encoding="utf-8"))
    (page / "test_broken.py").write_text(_BROKEN)
    topics = " or ".join(f"({fault.__name__} and {topic})" for fault, topic in broken_providers.WRONG.items())
    told = told_by_pytest(page, "test_broken.py", "-k", topics)
    failed = set(re.findall(r"^FAILED test_broken\.py::Test(\w+)::", told, re.MULTILINE))
    assert failed == {fault.__name__ for fault in broken_providers.WRONG}, told


def test_tests_of_undeclared_capabilities_are_left_out_and_the_summary_says_so(tmp_path: Path) -> None:
    told = _on_memory(tmp_path, "capabilities = Capability(0)", "--collect-only")
    assert "TestMine does not declare ITEMS: " in told
    assert "TestMine does not declare SHARED: 3 tests are left out" in told
    assert "TestItems::" not in told
    assert "TestUpdate::" in told


def test_a_capability_that_is_declared_and_not_there_fails(tmp_path: Path) -> None:
    told = _on_memory(tmp_path, "capabilities = Capability.SHARED | Capability.RESTORED", "-k", "Sharing or Restored")
    assert "FAILED test_mine.py::TestMine::TestSharing::test_a_provider_reads_what_another_one_wrote" in told
    assert "override the fixture saved, or do not declare RESTORED" in told


def test_capabilities_have_to_be_declared(tmp_path: Path) -> None:
    assert "TestMine has to declare the capabilities of its provider" in _on_memory(tmp_path, "", "--collect-only")


def test_a_fixture_with_the_name_of_a_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="the fixture 'text' has the name of a parameter in tests of the suite"):

        class _Mine(ProviderConformance):
            capabilities = Capability(0)

            @pytest.fixture
            def text(self) -> MakeProvider:
                raise NotImplementedError


def _on_memory(directory: Path, declared: str, *arguments: str) -> str:
    written("providers.md", _FILES, directory)
    imported = "from sessionstore.testing import Capability\n"
    (directory / "test_mine.py").write_text(imported + _ON_MEMORY.replace("DECLARED", declared))
    return told_by_pytest(directory, "test_mine.py", *arguments)
