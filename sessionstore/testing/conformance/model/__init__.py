"""The models of the suite: random programs of Hypothesis, and what their calls may come to."""
