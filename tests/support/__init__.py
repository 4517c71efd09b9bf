"""What tests stand on: real databases, a clock that is set by hand, and a counter on the wire."""
