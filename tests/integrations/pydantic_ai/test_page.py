"""The page about the adapter is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.pages import fresh_directory, python_blocks, run
from tests.support.pages import Block

__all__ = ["fresh_directory"]

BLOCKS = [pytest.param(block, id=f"block-{number}") for number, block in enumerate(python_blocks("pydantic-ai.md"), 1)]


@pytest.mark.parametrize("block", BLOCKS)
def test_the_programs_print_what_the_page_says(block: Block, fresh_directory: Path) -> None:
    run(block)
