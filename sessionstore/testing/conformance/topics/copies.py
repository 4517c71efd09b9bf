"""A storage belongs to its process: a copy of it, or one sent to another process, is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from sessionstore import SessionManager, StorageProvider

from ...support.documents import Chat

COPIES: dict[str, Callable[[Any], object]] = {
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("made", COPIES)
async def test_a_copy_of_a_storage_is_refused_with_what_to_do(storage: StorageProvider, made: str) -> None:
    with pytest.raises(TypeError, match=r"cannot be copied or pickled, .* call open_storage"):
        COPIES[made](storage)


async def test_a_manager_cannot_be_pickled_with_its_storage(chats: SessionManager[Chat]) -> None:
    with pytest.raises(TypeError, match=r"cannot be copied or pickled, .* call open_storage"):
        pickle.dumps(chats)
