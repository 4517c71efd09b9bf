"""The providers of this package, each tested by the conformance suite of `sessionstore.testing`."""
