"""The benchmarks still run. What they measure is nobody's test."""
