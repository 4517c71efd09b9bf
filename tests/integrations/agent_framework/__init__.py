"""The example of a history provider for Microsoft's Agent Framework."""
