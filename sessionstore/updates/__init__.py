"""The update loop: callers' functions, several updates in one write, retries, lost answers, held rows."""
