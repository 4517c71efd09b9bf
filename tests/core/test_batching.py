"""The settings of batches: whole numbers, and within bounds."""

from __future__ import annotations

from typing import Any

import pytest

from sessionstore import ConfigurationError
from sessionstore.batching import LARGEST_BATCH, Batching
from sessionstore.storage.journal import entry


@pytest.mark.parametrize("bad", [1.5, "2", None, True])
def test_a_size_or_concurrency_that_is_no_whole_number_is_refused(bad: Any) -> None:
    for name in ("size", "concurrency"):
        with pytest.raises(ConfigurationError, match=name):
            Batching(**{name: bad})


@pytest.mark.parametrize("bad", [0, -1])
def test_a_size_or_concurrency_below_one_is_refused(bad: int) -> None:
    with pytest.raises(ConfigurationError, match="size"):
        Batching(size=bad)
    with pytest.raises(ConfigurationError, match="concurrency"):
        Batching(concurrency=bad)


def test_a_batch_size_beyond_what_a_row_can_count_is_refused() -> None:
    assert len(entry("abcdefgh", Batching(size=LARGEST_BATCH).size)) == len(entry("abcdefgh", 1))
    with pytest.raises(ConfigurationError, match="at most"):
        Batching(size=LARGEST_BATCH + 1)
