"""The update loop, and what serves it: callers' functions, updates in one write, retries, held rows."""
