"""The tests of sessionstore. `support/` makes real databases, `conformance/` runs on every storage provider."""
