"""The page about the SDK is true."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integrations.pages import fresh_directory, python_blocks, run
from tests.support.pages import Block

from .entries import entry

__all__ = ["fresh_directory"]


@pytest.mark.parametrize("block", python_blocks("claude-agent-sdk.md"), ids=["use", "from disk", "from a store"])
def test_the_programs_of_the_page_run(block: Block, fresh_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = fresh_directory / "config"
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(config))
    session = config / "projects" / "-a-project" / str(uuid4())
    agent = session / "subagents" / "agent-1.jsonl"
    agent.parent.mkdir(parents=True)
    for transcript in (session.with_suffix(".jsonl"), agent):
        transcript.write_text("".join(f"{json.dumps(entry(uuid))}\n" for uuid in "abc"))
    printed = run(block)
    if "import_session_to_store" in block.code:
        assert printed == ["imported 3"] == run(block)
