"""Adapters: this library behind the session protocols of other frameworks, one module for each framework.

An adapter needs its framework, which the extra of the same name installs. Nothing else in `sessionstore` imports an
adapter. docs/frameworks.md says which adapter to choose.
"""
