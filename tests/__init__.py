"""The tests of sessionstore.

`support/` makes real databases, `conformance/` runs the suite of `sessionstore.testing` on every storage provider.
"""
