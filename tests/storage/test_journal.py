"""The ids of writes: many at once from the operating system, and yet nobody else's; and the fate of a write."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

import pytest

from sessionstore.storage.journal import Fate, fate, new_write_id


def tell(end: Connection) -> None:
    end.send([new_write_id() for _ in range(10)])
    end.close()


def test_no_id_comes_twice() -> None:
    ids = [new_write_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert {len(write_id) for write_id in ids} == {8}


def test_a_forked_process_has_ids_of_its_own() -> None:
    new_write_id()  # so that there are some in store
    forking = multiprocessing.get_context("fork")
    ours, theirs = forking.Pipe()
    child = forking.Process(target=tell, args=(theirs,))
    child.start()
    told = ours.recv()
    child.join()
    assert not {*told} & {new_write_id() for _ in range(1000)}


@pytest.mark.parametrize("writes", [None, "", "nonsense", "----------zz"])
def test_the_outcome_of_a_write_that_is_not_in_the_journal_is_unknown(writes: str | None) -> None:
    assert fate("abcdefgh", 5, 6, writes) is Fate.UNTOLD
    assert fate("abcdefgh", 5, 5, writes) is Fate.NOT_LANDED
