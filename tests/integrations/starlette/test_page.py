"""docs/frameworks/starlette.md is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.pages import fresh_directory, python_blocks, run
from tests.support.pages import Block

__all__ = ["fresh_directory"]


@pytest.mark.parametrize("block", python_blocks("starlette.md"))
def test_the_examples_run(block: Block, fresh_directory: Path) -> None:
    run(block)
