"""The synchronous calls of SessionManager, by what they do."""
