"""Calls that go together, deadlines, event loops."""
