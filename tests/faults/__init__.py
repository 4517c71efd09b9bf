"""Nothing lost, nothing doubled: what was acknowledged is there, once, whatever broke meanwhile.

The long form is `python -m tests.faults` (`make soak`), the short form is test_faults.py: the same code, less often.
"""
