"""Batches of calls, timeouts, event loops."""
