"""The adapter for pydantic-ai. Its in-memory store is the oracle: the same program on both comes to the same."""
