"""Connections: from the engine to one that works, is idle, is lent for one operation and is given back."""
