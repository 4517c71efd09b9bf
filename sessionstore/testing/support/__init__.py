"""Helpers that write sessions, items and states, for the tests of the suite and of this package."""
