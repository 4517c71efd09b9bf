"""Adapters for frameworks. The tests of each folder run in an environment of their own: `make frameworks`."""
