"""The update loop and all that serves it: callers' functions, updates of one session in one write, retries, held rows."""
