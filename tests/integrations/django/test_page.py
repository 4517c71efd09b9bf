"""docs/frameworks/django.md is true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.pages import fresh_directory, python_blocks
from tests.support.pages import ROOT, blocks_of

__all__ = ["fresh_directory"]

_SETTINGS, _EXAMPLE = python_blocks("django.md")
_COPY = next(block for block in blocks_of(ROOT / "docs" / "frameworks" / "django.md") if block.language == "copy")


def _run(program: str, directory: Path) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_example_prints_what_the_page_says(fresh_directory: Path) -> None:
    assert f"`{_run(_EXAMPLE.code, fresh_directory)}`" in _EXAMPLE.after


def test_the_check_passes_with_the_settings_of_the_page(fresh_directory: Path) -> None:
    (fresh_directory / "page_settings.py").write_text(f"SECRET_KEY = 'of a test'\n{_SETTINGS.code}")
    command = [sys.executable, "-m", "django", "check", "--settings", "page_settings", "--pythonpath", "."]
    done = subprocess.run(command, cwd=fresh_directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (fresh_directory / "sessionstore.db").unlink()
    done = subprocess.run(command, cwd=fresh_directory, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "sessionstore migrate upgrade" in done.stderr


@pytest.mark.parametrize("expires", ["set_expiry(3600)", "setdefault('b', 2)"])
def test_sessions_of_djangos_database_are_copied(fresh_directory: Path, expires: str) -> None:
    program = f"""
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="of a test", USE_TZ=True,
    INSTALLED_APPS=["django.contrib.sessions", "sessionstore.integrations.django"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "django.db"}}}},
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.sessions.backends.db import SessionStore as Before
before = Before()
before["a"] = 1
before.{expires}
before.save()
{_COPY.code}
print(SessionStore(before.session_key)["a"], SessionStore(before.session_key).get_expiry_age() > 3500)
"""
    assert _run(program, fresh_directory) == "1 True"
