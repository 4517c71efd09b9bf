"""What is shipped: a wheel that migrates a database by itself, far from the checkout."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest

from .conftest import CHECKOUT, Service, build

pytestmark = pytest.mark.xdist_group("packaging")


@pytest.fixture(scope="module")
def unpacked_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build(CHECKOUT, tmp_path_factory.mktemp("sdist"), "sdist")) as sdist:
        # The argument `filter` is not in every 3.11, and where there are filters it warns to name none.
        sdist.extraction_filter = getattr(tarfile, "data_filter", None)
        sdist.extractall(directory)  # noqa: S202
    (root,) = directory.iterdir()
    return root


def migrations_of(tree: Path) -> dict[str, bytes]:
    files = [path for path in (tree / "migrations").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(tree).as_posix(): path.read_bytes() for path in files}


def migrations_in(wheel: Path) -> dict[str, bytes]:
    prefix = "sessionstore/migrations/"
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.removeprefix("sessionstore/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(prefix) and not name.endswith("/")
        }


def test_the_wheel_carries_the_migrations_of_the_checkout(wheel: Path) -> None:
    carried = migrations_in(wheel)
    assert "migrations/env.py" in carried
    assert any(name.startswith("migrations/versions/") for name in carried)
    assert carried == migrations_of(CHECKOUT)


def test_the_wheel_tells_type_checkers_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert "sessionstore/py.typed" in archive.namelist()


def test_the_wheel_carries_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = [path for path in (CHECKOUT / "sessionstore").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    expected = {path.relative_to(CHECKOUT).as_posix() for path in package}
    assert names == expected | {f"sessionstore/{name}" for name in migrations_of(CHECKOUT)}


def test_the_wheel_is_of_the_version_that_the_project_states(wheel: Path) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert wheel.name == f"sessionstore-{project['version']}-py3-none-any.whl"


def test_a_wheel_built_from_the_sdist_is_the_wheel_built_from_the_checkout(
    wheel: Path, unpacked_sdist: Path, tmp_path: Path
) -> None:
    rebuilt = build(unpacked_sdist, tmp_path / "rebuilt", "wheel")
    assert migrations_in(rebuilt) == migrations_of(CHECKOUT)
    with zipfile.ZipFile(wheel) as ours, zipfile.ZipFile(rebuilt) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())


def test_the_sdist_can_run_its_tests_and_migrations(unpacked_sdist: Path) -> None:
    assert migrations_of(unpacked_sdist) == migrations_of(CHECKOUT)
    here = Path(__file__).relative_to(CHECKOUT)
    assert (unpacked_sdist / here).read_bytes() == Path(__file__).read_bytes()
    needed = ["pyproject.toml", "alembic.ini", "Makefile", "README.md", "LICENSE"]
    assert [name for name in needed if not (unpacked_sdist / name).is_file()] == []


def test_the_imported_package_is_the_wheel(service: Service) -> None:
    done = service.run("python", "-c", "import sessionstore; print(sessionstore.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(service.environment), done.stderr


def test_an_installed_wheel_migrates_a_database_with_no_checkout_around(service: Service) -> None:
    url = "sqlite+aiosqlite:///service.db"

    before = service.run("sessionstore", "migrate", "check", "--database-url", url)
    assert before.returncode == 1, before.stdout + before.stderr
    assert "upgrade" in before.stderr
    assert "Traceback" not in before.stderr

    for _ in range(2):  # the second time there is nothing to do
        upgraded = service.run("sessionstore", "migrate", "upgrade", "--database-url", url)
        assert upgraded.returncode == 0, upgraded.stdout + upgraded.stderr

    after = service.run("sessionstore", "migrate", "check", "--database-url", url)
    assert after.returncode == 0, after.stdout + after.stderr

    with closing(connect(service.directory / "service.db")) as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
