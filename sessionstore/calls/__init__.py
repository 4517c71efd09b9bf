"""The calls of SessionManager, by what they do. manager.py puts them together."""
