"""Batches and single operations among others: held rows, refusals, cancellations, contention."""
