"""Encoding and decoding: states to JSON text and back, the check that they come back equal, and paths of errors."""
