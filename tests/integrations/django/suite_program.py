"""Runs Django's own tests of sessions with our store. Its arguments are a URL and the folder of the tests."""

from __future__ import annotations

import sys
import unittest
from typing import Any

from .configured import configure

LEFT_OUT = {
    "test_empty_session_saved": "It looks for the row with Django's ORM, in a table that we do not have.",
}


def main(url: str, folder: str) -> int:
    sys.path.insert(0, folder)
    configure(url, "sessions_tests")
    from django.test import SimpleTestCase
    from django.test.runner import DiscoverRunner
    from sessions_tests import tests as theirs

    from sessionstore.integrations.django import SessionStore

    mixin: Any = theirs.SessionTestsMixin

    class StoredSessionTests(mixin, SimpleTestCase):
        """SimpleTestCase lets no test reach a database of Django's."""

        backend = SessionStore

    load = unittest.defaultTestLoader.loadTestsFromTestCase
    every = [*load(StoredSessionTests), *load(theirs.SessionMiddlewareTests)]
    left_out = [test for test in every if test.id().rpartition(".")[2] in LEFT_OUT]
    suite = unittest.TestSuite(test for test in every if test not in left_out)
    runner = DiscoverRunner(verbosity=1)
    runner.setup_test_environment()
    databases = runner.setup_databases()
    outcome = runner.run_suite(suite)
    runner.teardown_databases(databases)
    print(f"{outcome.testsRun} run, {len(outcome.skipped)} skipped, {len(left_out)} left out")  # noqa: T201
    return int(not outcome.wasSuccessful())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
