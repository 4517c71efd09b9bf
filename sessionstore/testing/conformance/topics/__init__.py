"""The tests of the suite, by topic."""
