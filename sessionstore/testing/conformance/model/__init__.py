"""The models of the suite: random programs of calls, made by Hypothesis, and the results that the calls may have."""
