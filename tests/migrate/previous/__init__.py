"""The code of the previous revision with its conformance suite: `NNNN.tar.xz`, as CONTRIBUTING.md says."""
