"""The example of a task store for the A2A protocol."""
