"""How fast the library is, and what that speed is worth, beside raw drivers and beside others that keep sessions.

Not in the wheel. `README.md` says how to run it; `contestants/` has one file for each that takes part, `workloads/` one
file for each thing that is measured.
"""
