"""URLs of SQLite: each names a file, or says what is wrong with it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from sessionstore import ConfigurationError, migrate, open_storage
from sessionstore.storage.sql.sqlite_file import trouble_with
from sessionstore.testing.sqlite import copied_file
from sessionstore.testing.support.documents import key, put


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return copied_file(sqlite_template, tmp_path / "s s.db")


@pytest.mark.parametrize(
    "form",
    [
        "sqlite:///{name}",
        "sqlite:///./{name}",
        "sqlite:///{path}",
        "sqlite:///{name}?timeout=5",
        "sqlite:///{name}?cached_statements=50&timeout=0.5",
        "sqlite:///{name}?uri=false",
        "sqlite:///file:{path}?uri=true",
        "sqlite:///file:{path}?uri=1&mode=rw&cache=private&timeout=5",
        "sqlite+aiosqlite:///file:{quoted}?mode=rwc&uri=true",
    ],
)
async def test_each_form_of_url_leads_to_the_file(file: Path, form: str) -> None:
    url = form.format(name=file.name, path=file, quoted=str(file).replace(" ", "%20"))
    migrate.check(url)
    async with open_storage(url) as storage:
        await put(storage, "s")
    async with open_storage(f"sqlite:///{file}") as storage:
        assert await storage.exists(key("s"))


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("sqlite:///~/s.db", "only a shell replaces"),
        ("sqlite:///~me/s.db", "only a shell replaces"),
        ("sqlite://s.db", "SQLite has none"),
        ("sqlite://s3cret@host/s.db", "SQLite has none"),
        ("sqlite:///s.db?mode=ro", "mode in the storage URL goes with SQLite's own URIs only"),
        ("sqlite:///s.db?mode=ro&uri=true", "uri=true"),
        ("sqlite:///file:s.db", "uri=true"),
        ("sqlite:///s.db?timeout=soon", "timeout in the storage URL must be a number of seconds"),
        ("sqlite:///s.db?uri=perhaps", "uri in the storage URL must be true or false"),
        ("sqlite:///s.db?timeout=1&timeout=2", "the parameter timeout twice"),
        ("sqlite:///s.db?pool_size=5", "unknown parameter 'pool_size'"),
        ("sqlite:///s.db?isolation_level=IMMEDIATE", "unknown parameter 'isolation_level'"),
        ("sqlite:///s.db?check_same_thread=false", "unknown parameter 'check_same_thread'"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_advice(url: str, advice: str) -> None:
    for call in (open_storage, migrate.upgrade, migrate.check, migrate.current, migrate.sql):
        with pytest.raises(ConfigurationError) as raised:
            call(url)
        assert advice in str(raised.value)
        assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "query", "words"),
    [
        ("SQLITE_FULL", "", "no room left on the disk of the SQLite file"),
        ("SQLITE_READONLY", "?mode=ro&uri=true", "leave out mode=ro"),
        ("SQLITE_CANTOPEN", "", None),
        ("SQLITE_CONSTRAINT", "", None),
        (None, "", None),
    ],
)
def test_a_specific_error_code_decides_the_message(file: Path, code: str | None, query: str, words: str | None) -> None:
    trouble = trouble_with(make_url(f"sqlite:///{file}{query}"), code)
    if words is None:
        assert trouble is None
    else:
        assert words in (trouble or "")


@pytest.mark.parametrize("of", ["file", "directory"])
def test_a_missing_privilege_is_named(file: Path, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may do everything, so that the system's answer is taken from the bits that others have.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).stat().st_mode & 0o7 & mode == mode)
    url = make_url(f"sqlite:///{file}")
    file.parent.chmod(0o777)
    file.chmod(0o666)
    assert trouble_with(url, "SQLITE_CANTOPEN") is None
    changed = file if of == "file" else file.parent
    changed.chmod(stat.S_IRWXU)
    trouble = trouble_with(url, "SQLITE_CANTOPEN")
    assert trouble is not None
    assert "may not" in trouble
    assert str(changed) in trouble
