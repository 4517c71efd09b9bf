from __future__ import annotations

import base64
import copy
import json
import pickle

import orjson
import pytest
from pydantic import TypeAdapter

from sessionstore.ids import Version, first_version, new_session_id, short_id


def test_new_ids_never_repeat_and_carry_128_bits_or_more() -> None:
    made = {new_session_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(base64.urlsafe_b64decode(session_id + "=" * (-len(session_id) % 4))) >= 16 for session_id in made)


def test_new_ids_need_no_escaping_in_a_url() -> None:
    url_safe = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert set("".join(new_session_id() for _ in range(1000))) <= url_safe


def test_first_versions_never_repeat_and_survive_every_json_reader() -> None:
    made = {first_version() for _ in range(1000)}
    assert len(made) == 1000
    assert min(made) >= 1
    # Readers with doubles round from 2**53 on. The distance to it is what a session can count.
    assert max(made) <= 2**52


@pytest.mark.parametrize(("session_id", "shown"), [("short-id", "short-id"), ("one-longer", "one-long..."), ("", "")])
def test_a_log_shows_only_the_first_characters_of_an_id(session_id: str, shown: str) -> None:
    assert short_id(session_id) == shown


def test_a_version_equals_its_number() -> None:
    version = Version(5, "abcdefgh")
    assert version == 5
    assert {version: 1} == {5: 1}
    assert (f"{version}", repr(version), f"{version:d}") == ("5", "5", "5")
    assert json.dumps([version]) == orjson.dumps([version]).decode() == "[5]"
    assert TypeAdapter(int).validate_python(version) == 5
    for copied in (pickle.loads(pickle.dumps(version)), copy.deepcopy(version), copy.copy(version)):  # noqa: S301
        assert (copied, copied.write, type(copied)) == (5, "abcdefgh", Version)
