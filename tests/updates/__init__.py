"""The update loop: batches of updates, cancelled, refused and lost updates, held rows, the write cache."""
