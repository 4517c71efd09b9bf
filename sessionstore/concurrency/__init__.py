"""Calls of many callers: how they go together, how long they wait, and what belongs to an event loop or a process."""
