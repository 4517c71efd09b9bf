"""Concurrent calls: batches, timeouts, retries, and objects that belong to one event loop or one process."""
