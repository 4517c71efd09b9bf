"""Connections: how they are made, checked, lent for one operation, given back and closed."""
