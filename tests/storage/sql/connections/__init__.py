"""Connections: engines, forks, event loops, pools, cancellations, encodings, what is lost and comes back."""
