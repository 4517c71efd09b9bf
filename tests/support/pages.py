"""Fenced code blocks of the documents: they are run, and print what the sentence after them says."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

# The word behind "python" says which file of an example the block is. Viewers colour the block by the first word.
_FENCED = re.compile(r"^```(?:python )?(\w*)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block, and the sentence after it."""

    document: str
    language: str
    code: str
    after: str


def blocks_of(document: Path) -> list[Block]:
    """All blocks of one document."""
    return [
        Block(document.name, block[1], block[2], re.split(r"\.\s", block.string[block.end() :].lstrip())[0])
        for block in _FENCED.finditer(document.read_text(encoding="utf-8"))
    ]


def run(block: Block, names: dict[str, Any] | None = None) -> list[str]:
    """Runs a block of Python as a program; the lines that it prints, which must be those of the text after it.

    Args:
        block: The block.
        names: Its global names, for a page whose blocks are one program; None: the block stands alone.
    """
    printed = io.StringIO()
    code = compile(block.code, block.document, "exec", dont_inherit=True)
    with contextlib.redirect_stdout(printed):
        exec(code, {"__name__": "__main__"} if names is None else names)  # noqa: S102
    lines = printed.getvalue().splitlines()
    assert lines, "it prints nothing, so nothing shows that it works"
    if block.after.startswith("It prints"):
        assert list(dict.fromkeys(lines)) == re.findall(r"`([^`]*)`", block.after)
    return lines
