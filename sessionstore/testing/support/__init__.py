"""What the tests of the suite and those of this package write sessions, items and states with."""
